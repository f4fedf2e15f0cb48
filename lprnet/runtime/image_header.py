"""What an image file says of itself, read before anything is decoded.

Decoders allocate what a header asks for, some fill the missing rest of a cut file with grey, and
some crash on parts that no still picture needs. So the size and the cost are known, the file is
known to be whole, and all but one still picture is taken out, before OpenCV sees a byte of it.
"""

from lprnet.runtime.image_formats import jpeg
from lprnet.runtime.image_formats.picture import Picture
from lprnet.runtime.late_import import other_formats

FORMATS = "JPEG, PNG, BMP, WebP or TIFF"


def still_picture(content: bytes) -> Picture:
    """The still picture in the image file `content`.

    Bytes after the end of the image are allowed, as cameras append them. Raises `ValueError`, its
    message completing "the file ...", if `content` is not all of an image, and its subclass
    `UnreadFormat` if it may be one, but of a kind that is not read.
    """
    if not content.startswith(jpeg.SIGNATURE):
        picture: Picture | None = other_formats().still_picture(content)
        if picture is None:
            raise ValueError(f"is not a {FORMATS} image" if content else "is empty")
        return picture
    try:
        return jpeg.still_jpeg(content)
    except IndexError as error:
        raise ValueError("is truncated") from error
