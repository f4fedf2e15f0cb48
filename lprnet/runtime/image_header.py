"""What an image file says of itself, read before anything is decoded.

Decoders allocate what a header asks for, and some fill the missing rest of a cut file with grey.
So the size is known, and the file is known to be whole, before OpenCV sees a byte of it.
"""

import re
import struct
import zlib

JPEG, PNG, BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"

JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The SOFn markers; the three left out are tables (DHT, JPG, DAC)."""

JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
"""A marker that ends entropy-coded data: neither a stuffed 0xFF, a restart nor a fill byte."""

EOI, SOS = 0xD9, 0xDA


def image_size(content: bytes) -> tuple[int, int]:
    """`(width, height)` in pixels as stored, before any EXIF rotation.

    Raises `ValueError`, its message completing "the file ...", if `content` is no JPEG (ITU T.81,
    annex B), PNG (ISO/IEC 15948, clause 5) or BMP, or is not all of one. Bytes after the end of
    the image are allowed, as cameras append them.
    """
    try:
        if content.startswith(JPEG):
            return _jpeg_size(content)
        if content.startswith(PNG):
            return _png_size(content)
        if content.startswith(BMP):
            return _bmp_size(content)
    except (IndexError, struct.error) as error:
        raise ValueError("is truncated") from error
    raise ValueError("is not a JPEG, PNG or BMP image" if content else "is empty")


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Walks the marker segments to the end-of-image marker."""
    size = None
    position = 2
    while True:
        found = JPEG_MARKER.search(content, position)
        if found is None:
            raise ValueError("is truncated")
        marker, position = found[1][0], found.end()
        if marker == EOI:
            break
        (length,) = struct.unpack_from(">H", content, position)
        if marker in JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", content, position + 3)
            size = (width, height)
        position += length
    if size is None:
        raise ValueError("holds no picture")
    return size


def _png_size(content: bytes) -> tuple[int, int]:
    """Walks the chunks to IEND, checking the sum of every critical one."""
    position = len(PNG)
    (first,) = struct.unpack_from("4s", content, position + 4)
    if first != b"IHDR":
        raise ValueError("holds no picture")
    width, height = struct.unpack_from(">II", content, position + 8)
    kind = first
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, position)
        body_end = position + 8 + length
        (stored_sum,) = struct.unpack_from(">I", content, body_end)
        if kind[:1].isupper() and zlib.crc32(content[position + 4 : body_end]) != stored_sum:
            raise ValueError("is damaged (a checksum is wrong)")
        position = body_end + 4
    return width, height


def _bmp_size(content: bytes) -> tuple[int, int]:
    """Reads either header form; for uncompressed pixels also checks that all are there."""
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
    return width, height
