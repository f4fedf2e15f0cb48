"""What an image file says of itself, read before anything is decoded.

Decoders allocate what a header asks for, some fill the missing rest of a cut file with grey, and
some crash on parts that no still picture needs. So the size and the cost are known, the file is
known to be whole, and all but one still picture is taken out, before OpenCV sees a byte of it.
"""

import struct

from lprnet.runtime.image_formats import bmp, jpeg, png, webp
from lprnet.runtime.image_formats.picture import Picture, UnreadFormat
from lprnet.runtime.image_formats.tiff import ORDERS, still_tiff

FORMATS = "JPEG, PNG, BMP, WebP or TIFF"

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


def still_picture(content: bytes) -> Picture:
    """The still picture in the image file `content`.

    Bytes after the end of the image are allowed, as cameras append them. Raises `ValueError`, its
    message completing "the file ...", if `content` is not all of an image, and its subclass
    `UnreadFormat` if it may be one, but of a kind that is not read.
    """
    try:
        if content.startswith(jpeg.SIGNATURE):
            return jpeg.still_jpeg(content)
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
    raise ValueError(f"is not a {FORMATS} image" if content else "is empty")
