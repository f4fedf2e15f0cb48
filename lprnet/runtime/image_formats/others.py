"""Files that are no JPEG: most images are one, and this is loaded at the first that is none."""

import struct

from lprnet.runtime.image_formats import bmp, png, webp
from lprnet.runtime.image_formats.picture import Picture, UnreadFormat
from lprnet.runtime.image_formats.tiff import ORDERS, still_tiff

UNREAD = {
    b"GIF8": "GIF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "icon",
    b"%PDF": "PDF",
    b"v/1\1": "OpenEXR",
}
"""First bytes to the name of other image formats, which the error names."""
UNREAD_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
}
"""By the brand of an ISO base media file (ISO/IEC 14496-12), its bytes 8 to 12."""


def still_picture(content: bytes) -> Picture | None:
    """As `still_picture` of `image_header.py`; None for what is no image by its first bytes."""
    try:
        if content.startswith(png.SIGNATURE):
            return png.still_png(content)
        if content.startswith(bmp.SIGNATURE):
            return bmp.still_bmp(content)
        if webp.is_webp(content):
            return webp.still_webp(content)
        if content[:4] in ORDERS:
            return still_tiff(content)
    except (IndexError, struct.error) as error:
        raise ValueError("is truncated") from error
    for start, name in UNREAD.items():
        if content.startswith(start):
            raise UnreadFormat(f"is a file of the format {name}")
    if content[4:8] == b"ftyp":
        name = UNREAD_BRANDS.get(content[8:12], "HEIF or MP4")
        raise UnreadFormat(f"is a file of the format {name}")
    return None
