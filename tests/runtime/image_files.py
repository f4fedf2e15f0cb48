"""Image files by hand, for what OpenCV's writers cannot make."""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def picture(height: int = 24, width: int = 94, channels: int = 3) -> Image:
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encode(suffix: str, image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, palette: bytes = b""
) -> bytes:
    """A PNG by hand, for what OpenCV's writer cannot make; `rows` have their filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    plte = chunk(b"PLTE", palette) if palette else b""
    body = chunk(b"IHDR", header) + plte + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bmp(width: int, height: int, bits: int, pixels: bytes, *, core: bool = False) -> bytes:
    if core:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + pixels


def oriented(jpeg: bytes, orientation: int) -> bytes:
    """`jpeg` with an EXIF segment that holds nothing but an orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
