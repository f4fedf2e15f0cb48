"""From image files to the network's input: read, resize.

Pixels equal `cv2.imread` in its default mode, which is what the checkpoint was trained on: 8-bit
BGR; grey is repeated; alpha is dropped and the colour stored under it kept (a TIFF's is multiplied
by it); 16 bits are cut to their upper 8 (a TIFF's are rounded); an EXIF orientation is applied.
"""

import os

import cv2
import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.image_file import BYTES_A_PIXEL, file_content, too_large
from lprnet.runtime.image_format import PUBLISHED, ImageFormat
from lprnet.runtime.image_formats.picture import UnreadFormat
from lprnet.runtime.image_header import still_picture
from lprnet.runtime.two_rows import has_two_rows, one_row
from lprnet.support.errors import UserError

HEIGHT, WIDTH = PUBLISHED.height, PUBLISHED.width
MAX_PIXELS = 16_000_000
"""The largest picture that is decoded unless more are asked for: a photo of a phone, a hundred
times a plate. Decoding one takes at most 2 seconds and, with its file, 250 MB."""


def read_image(
    path: str | os.PathLike[str],
    max_pixels: int = MAX_PIXELS,
    image_format: ImageFormat = PUBLISHED,
    rows: str = "1",
) -> NDArray[np.uint8]:
    """The JPEG, PNG, BMP, WebP or TIFF at `path` as `image_format.shape` uint8.

    Any size of at most `max_pixels` is resized as `resize` does, `rows` included. Raises
    `UserError` for a file that is missing, empty, too large, truncated, damaged, an animation or no
    image.
    """
    content = file_content(path, max_pixels)
    return decode_image(content, f"the image file {path}", max_pixels, image_format, rows)


def decode_image(
    content: bytes,
    name: str,
    max_pixels: int = MAX_PIXELS,
    image_format: ImageFormat = PUBLISHED,
    rows: str = "1",
) -> NDArray[np.uint8]:
    """The image file `content` as `read_image` returns it; errors call it `name`."""
    return resize(decode_picture(content, name, max_pixels), image_format, rows)


def decode_picture(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The image file `content`, `(H, W, 3)` uint8 BGR of any size of at most `max_pixels`.

    Raises as `read_image`; errors call it `name`.
    """
    if len(content) > BYTES_A_PIXEL * max_pixels:
        raise UserError(too_large(name, max_pixels))
    try:
        picture = still_picture(content)
    except UnreadFormat as error:
        raise UserError(f"{name} {error}, which is not read; save it as JPEG or PNG") from error
    except ValueError as error:
        raise UserError(f"{name} {error}; copy it again or leave it out") from error
    del content
    if not 0 < picture.width * picture.height <= max_pixels:
        raise UserError(
            f"{name} has {picture.width}x{picture.height} pixels; give one of at least one pixel "
            f"and at most {max_pixels:,} (max_pixels), best the plate alone"
        )
    if picture.cost > max_pixels:
        raise UserError(
            f"{name} takes as long or as much memory to decode as {picture.cost:,} pixels of a "
            f"plain JPEG, and at most {max_pixels:,} are allowed (max_pixels); save it as one"
        )
    try:
        image = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{name} is damaged; copy it again or leave it out")
    return image.astype(np.uint8, copy=False)


def as_pixels(
    image: object,
    max_pixels: int = MAX_PIXELS,
    image_format: ImageFormat = PUBLISHED,
    rows: str = "1",
) -> NDArray[np.uint8]:
    """An image file by its path, the bytes of one, or an array as `resize` takes it, as
    `image_format.shape` uint8, of a plate with as many `rows` as `resize` is told.

    Raises `UserError` for anything else, as for what `read_image` and `resize` refuse.
    """
    if isinstance(image, np.ndarray):
        return resize(image, image_format, rows)
    if isinstance(image, (str, os.PathLike)):
        if isinstance(image, str) and "://" in image and not os.path.exists(image):
            raise UserError(f"{image} is a URL; download it and give the path or the bytes")
        return read_image(image, max_pixels, image_format, rows)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return decode_image(bytes(image), "the encoded image", max_pixels, image_format, rows)
    hint = ""
    if image is None:
        hint = " (cv2.imread returns None for a file that it cannot read)"
    elif hasattr(image, "convert"):
        hint = " (of a PIL image: np.asarray(image.convert('RGB'))[:, :, ::-1])"
    raise UserError(
        "an image is a path, the bytes of an image file or a (height, width, 3) uint8 BGR array, "
        f"not {type(image).__name__}{hint}"
    )


def resize(
    image: NDArray[np.uint8], image_format: ImageFormat = PUBLISHED, rows: str = "1"
) -> NDArray[np.uint8]:
    """`(H, W, 3)` uint8 BGR, or an array with `image_format`'s own channels, as
    `image_format.shape`, bilinear; the same array where it has that shape.

    A plate of two rows, as `rows` of `two_rows.ROWS` says, is set into one first. Colour becomes
    grey before it is resized. Raises `UserError` for another rank, dtype or channel
    count, and for an array without pixels.
    """
    if image.shape == image_format.shape and image.dtype == np.uint8 and rows == "1":
        return image  # nearly every plate of an archive of plates
    height, width, channels = image_format.shape
    known = image.ndim == 3 and image.shape[2] in {3, channels}
    if image.dtype != np.uint8 or not known or image.size == 0:
        raise UserError(
            f"an image array must be (height, width, 3) uint8 BGR, not {image.shape} {image.dtype}"
        )
    if has_two_rows(image.shape[1], image.shape[0], rows):
        image = one_row(image)
    if image.shape == image_format.shape:
        return image
    if image.shape[2] > channels:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[:, :, None].astype(np.uint8, copy=False)
    if image_format.fit == "stretch":
        return cv2.resize(image, (width, height)).reshape(image_format.shape).astype(np.uint8)
    size = letterbox(image.shape[0], image.shape[1], image_format)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    boxed = np.full(image_format.shape, image_format.border, np.uint8)
    inside = cv2.resize(image, size).reshape(size[1], size[0], channels)
    boxed[top : top + size[1], left : left + size[0]] = inside
    return boxed


def letterbox(height: float, width: float, image_format: ImageFormat) -> tuple[int, int]:
    """Width and height of a picture of these proportions within `image_format`."""
    ratio = min(image_format.height / height, image_format.width / width)
    return max(1, round(width * ratio)), max(1, round(height * ratio))
