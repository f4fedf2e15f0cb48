"""Mutants of image files, read by `decode_picture`; what it accepts is compared with Pillow."""

import io
import random
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImagePalette
from PIL.TiffImagePlugin import TiffImageFile

from lprnet.runtime.image_io import decode_picture
from tests.fuzz.formats import all_formats
from tests.fuzz.parts import mutate as mutate_parts

MAX_PEAK_KB = 300_000
COMPARED = {"1", "L", "P", "RGB", "RGBA", "LA", "CMYK"}
"""Pillow's modes whose 8-bit colours mean one thing."""
MAX_DIFFERENCE = 4.0
"""Of a mean over all pixels, in levels; decoders differ in how they round colours."""


def mutate(rng: random.Random) -> tuple[str, bytes]:
    name = rng.choice(["PNG", "PNG", "JPEG", "JPEG", "WEBP", "BMP", "TIFF"])
    return name, mutate_parts(all_formats()[name], rng)


def read(kind: str, content: bytes) -> NDArray[np.uint8]:
    return decode_picture(content, "it")


def check(kind: str, content: bytes, found: NDArray[np.uint8]) -> str | None:
    """Where Pillow accepts the file too, sizes and colours must be the same, upright or not: which
    of several EXIF blocks counts, and whether a damaged one does, decoders decide differently.
    """
    expected = by_pillow(without_animation(content) if kind == "PNG" else content)
    if expected is None:
        return None
    turned = (np.rot90(one, turns) for one in (found, np.fliplr(found)) for turns in range(4))
    same_shape = [one for one in turned if one.shape == expected.shape]
    if not same_shape:
        return f"of shape {found.shape}, by Pillow {expected.shape}"
    difference = np.inf
    for one in same_shape:  # most are upright, and of a large picture one comparison takes 0.4 s
        difference = min(difference, float(cv2.absdiff(expected, one.copy()).mean()))
        if difference <= MAX_DIFFERENCE:
            return None
    return f"{difference:.1f} levels from Pillow"


def without_animation(content: bytes) -> bytes:
    """A PNG whose only picture is the still one, which is no frame for Pillow then."""
    kept, at = [content[:8]], 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] not in (b"acTL", b"fcTL", b"fdAT"):
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def by_pillow(content: bytes) -> NDArray[np.uint8] | None:
    """`(H, W, 3)` BGR; None where Pillow refuses the file or its colours are not 8 bits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "Truncated File Read")  # it leaves out what follows
            picture = Image.open(io.BytesIO(content))
            if picture.mode not in COMPARED:
                return None
            stored = stored_bits(picture)
            if isinstance(picture, TiffImageFile) and picture.mode == "P":
                palette = picture.tag_v2[320]
                if max(palette) < 256:  # old writers' 8 bits, as libtiff says, and not almost black
                    picture.palette = ImagePalette.raw("RGB;L", bytes(palette))
            pixels = np.asarray(picture.convert("RGBA"))
            colours = pixels[:, :, 2::-1].astype(np.float32)
            if (picture.format, picture.mode) == ("TIFF", "RGBA"):  # OpenCV multiplies by alpha
                colours *= pixels[:, :, 3:] / 255
            rounded: NDArray[np.uint8] = colours.round().astype(np.uint8)
            return rounded & stored
    except Exception:  # whatever its plugins raise
        return None


def stored_bits(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """By channel, the bits to compare of a picture that is not loaded yet.

    Of a BMP of 16 bits they are those in the file: OpenCV sets the others to 0, and Pillow makes
    255 of the largest number.
    """
    kinds = {"BGR;15": [0xF8, 0xF8, 0xF8], "BGR;16": [0xF8, 0xFC, 0xF8]}
    arguments = picture.tile[0].args if picture.format == "BMP" else None
    kind = arguments[0] if isinstance(arguments, tuple) else ""
    return np.array(kinds.get(kind, [0xFF, 0xFF, 0xFF]), np.uint8)
