"""WebP (RFC 9649): a RIFF file with a lossy (VP8) or lossless (VP8L) picture."""

import struct

from lprnet.runtime.image_formats.picture import (
    MAX_PARTS,
    TOO_MANY_PARTS,
    Picture,
    UnreadFormat,
)
from lprnet.runtime.image_formats.png import MAX_EXIF

LOSSY_COST = 2
"""Measured, on noise of the best quality."""
LOSSLESS_COST = 32
"""Each 4x4 pixels may have Huffman tables of their own, of 6 KB, from 3 bytes of the file."""
HAS_EXIF = 0x08


def is_webp(content: bytes) -> bool:
    """Whether `content` starts like a WebP file."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def still_webp(content: bytes) -> Picture:
    """The picture without its alpha channel, which OpenCV drops, and with its EXIF data.

    Raises `UnreadFormat` for an animation and `ValueError` for a file that is not whole.
    """
    end = 8 + struct.unpack_from("<I", content, 4)[0]
    if end > len(content):
        raise ValueError("is truncated")
    image, exif = b"", b""
    canvas, wants_exif = None, False
    start = 12
    for _ in range(MAX_PARTS):
        if start + 8 > end:
            break
        kind, length = struct.unpack_from("<4sI", content, start)
        body_end = start + 8 + length
        if body_end > end:
            raise ValueError("is truncated")
        if kind in (b"ANIM", b"ANMF"):
            raise UnreadFormat("is an animation")
        if kind == b"VP8X" and canvas is None:
            wants_exif = bool(content[start + 8] & HAS_EXIF)
            canvas = tuple(_24_bits(content, start + at) + 1 for at in (12, 15))
        elif kind in (b"VP8 ", b"VP8L") and not image:
            image = content[start:body_end]
        elif kind == b"EXIF" and not exif:
            exif = content[start:body_end]
        start = body_end + length % 2
    else:
        raise ValueError(TOO_MANY_PARTS)
    if len(exif) > MAX_EXIF:
        raise ValueError(f"has more than {MAX_EXIF:,} bytes of EXIF data")
    if not image:
        raise ValueError("holds no picture")
    width, height = _lossy_size(image) if image[:4] == b"VP8 " else _lossless_size(image)
    if canvas not in (None, (width, height)):
        raise ValueError("is damaged (its picture has not the size of its canvas)")
    cost = LOSSY_COST if image[:4] == b"VP8 " else LOSSLESS_COST
    still = _riff(image, exif if wants_exif else b"", width, height)
    return Picture(width, height, still, width * height * cost)


def _lossy_size(image: bytes) -> tuple[int, int]:
    if image[8] & 1 or image[11:14] != b"\x9d\x01\x2a":
        raise ValueError("is damaged (its picture is no key frame)")
    width, height = struct.unpack_from("<HH", image, 14)
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(image: bytes) -> tuple[int, int]:
    mark, bits = struct.unpack_from("<BI", image, 8)
    if mark != 0x2F:
        raise ValueError("is damaged (its picture has no signature)")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _riff(image: bytes, exif: bytes, width: int, height: int) -> bytes:
    """A file of these chunks; EXIF data are only read from one with a canvas."""
    chunks = [image]
    if exif:
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks = [b"VP8X\x0a\0\0\0" + bytes([HAS_EXIF, 0, 0, 0]) + size, image, exif]
    body = b"WEBP" + b"".join(chunk + b"\0" * (len(chunk) % 2) for chunk in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _24_bits(content: bytes, position: int) -> int:
    return int.from_bytes(content[position : position + 3], "little")
