"""BMP: a header of one of two forms, a palette, then rows of pixels."""

import struct

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.image_formats.picture import Picture

SIGNATURE = b"BM"
FILE_HEADER = 14
"""Bytes before the header proper."""
CORE_HEADER = 12
"""The length of the older form."""
UNCOMPRESSED, BY_MASKS = 0, 3
"""Values of the field compression."""


def still_bmp(content: bytes) -> Picture:
    """The picture, with `content` as it is: a BMP holds one and nothing else.

    Raises `ValueError` for a negative width, for uncompressed pixels that are not all there or
    begin within the header, and for pixels of a colour that the palette lacks.
    """
    (pixels_at, header) = struct.unpack_from("<II", content, 10)
    compression = colours = 0
    if header == CORE_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", content, 18)
        (colours,) = struct.unpack_from("<I", content, 46)
        height = abs(height)  # negative means that rows run from the top
    if width < 0:
        raise ValueError("is damaged (its width is negative)")
    palette_bytes = pixels_at - FILE_HEADER - header
    if palette_bytes < 0:
        raise ValueError("is damaged (its pixels begin within its header)")
    row = (width * bits + 31) // 32 * 4
    if compression in (UNCOMPRESSED, BY_MASKS) and pixels_at + row * height > len(content):
        raise ValueError("is truncated")
    if compression == UNCOMPRESSED and bits in (1, 4, 8) and width:
        there = palette_bytes // (3 if header == CORE_HEADER else 4)
        if colours:
            there = min(there, colours)
        rows = np.frombuffer(content, np.uint8, row * height, pixels_at).reshape(height, row)
        if there < 1 << bits and _largest(rows, bits, width) >= there:
            raise ValueError("is damaged (its palette lacks colours)")
    return Picture(width, height, content, width * height)


def _largest(rows: NDArray[np.uint8], bits: int, width: int) -> int:
    """The largest in rows of `width` numbers of `bits` each, the first in a byte's upper bits."""
    a_byte, mask, found = 8 // bits, (1 << bits) - 1, 0
    for at in range(min(a_byte, width)):
        numbers = rows[:, : -(-(width - at) // a_byte)] >> (8 - bits * (at + 1))
        found = max(found, int((numbers & mask).max(initial=0)))
    return found
