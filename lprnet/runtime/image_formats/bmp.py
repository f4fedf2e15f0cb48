"""BMP: a header of one of two forms, then rows of pixels."""

import struct

from lprnet.runtime.image_formats.picture import Picture

SIGNATURE = b"BM"


def still_bmp(content: bytes) -> Picture:
    """The picture, with `content` as it is: a BMP holds one and nothing else.

    Raises `ValueError` for a negative width and for uncompressed pixels that are not all there.
    """
    (pixels_at, header) = struct.unpack_from("<II", content, 10)
    compression = 0
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", content, 18)
        height = abs(height)  # negative means that rows run from the top
    if width < 0:
        raise ValueError("is damaged (its width is negative)")
    row = (width * bits + 31) // 32 * 4
    if compression in (0, 3) and pixels_at + row * height > len(content):
        raise ValueError("is truncated")
    return Picture(width, height, content, width * height)
