"""From image files to the network's input: find, read, resize, normalise.

Pixels equal `cv2.imread` in its default mode, which is what the checkpoint was trained on: 8-bit
BGR; grey is repeated; alpha is dropped and the colour stored under it kept; 16 bits are cut to
their upper 8; an EXIF orientation is applied.
"""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.model.preprocessing import OFFSET, SCALE
from lprnet.runtime.alphabet import INDEX
from lprnet.runtime.image_header import image_size
from lprnet.support.errors import UserError

HEIGHT, WIDTH = 24, 94
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
MAX_PIXELS = 64_000_000
"""The largest photo that is decoded: 192 MB of pixels."""
MAX_BYTES = 4 * MAX_PIXELS
"""The largest file that is read: no BMP of `MAX_PIXELS` needs more."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """The JPEG, PNG or BMP at `path` as `(24, 94, 3)` uint8 BGR.

    Any size is resized bilinearly without keeping its proportions, as the reference does. Raises
    `UserError` for a file that is missing, empty, too large, truncated, damaged or no image.
    """
    content = _content(path)
    try:
        width, height = image_size(content)
    except ValueError as error:
        raise UserError(f"the image file {path} {error}; copy it again or leave it out") from error
    if not 0 < width * height <= MAX_PIXELS:
        raise UserError(
            f"the image file {path} has {width}x{height} pixels; give one of at least one pixel "
            f"and at most {MAX_PIXELS // 1_000_000} million"
        )
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"the image file {path} is damaged; copy it again or leave it out")
    return resize(image.astype(np.uint8, copy=False))


def resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(H, W, 3)` uint8 BGR to `(24, 94, 3)`, bilinear; the same array where it has that size.

    Raises `UserError` for another rank, dtype or channel count, and for an array without pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise UserError(
            f"an image array must be (height, width, 3) uint8 BGR, not {image.shape} {image.dtype}"
        )
    if image.shape[:2] == (HEIGHT, WIDTH):
        return image
    return cv2.resize(image, (WIDTH, HEIGHT)).astype(np.uint8, copy=False)


def normalise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 3, 24, 94)` float32, contiguous, `(x - 127.5) / 128`."""
    centred = images.astype(np.float32) - np.float32(OFFSET)
    return np.ascontiguousarray((centred * np.float32(SCALE)).transpose(0, 3, 1, 2))


def list_images(arguments: Sequence[str]) -> list[Path]:
    """The files that `arguments` name, in their order, each file once.

    A directory stands for the images right in it and a pattern (`*`, `?`, `[`) for what it
    matches, both sorted; anything else stands for itself, whether it exists or not, so that one
    wrong name among many is met when it is read. Raises `UserError` for a directory or pattern
    without images.
    """
    paths: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if os.path.isdir(argument):
            found = _in_directory(path)
        elif glob.has_magic(argument) and not os.path.exists(argument):
            found = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]
            found = [name for name in found if name.suffix.lower() in SUFFIXES]
        else:
            found = [path]
        if not found:
            raise UserError(f"{argument} holds no JPEG, PNG or BMP file; name images or another")
        paths += found
    return list(dict.fromkeys(paths))


def label_of(path: Path) -> str:
    """The plate that a file is named after: its stem up to the first `-` or `_`.

    Raises `UserError` if that is empty or holds a character the network does not know.
    """
    label = path.stem.replace("_", "-").partition("-")[0]
    unknown = [character for character in label if character not in INDEX]
    if unknown or not label:
        reason = f"{unknown[0]!r} is no character of a plate" if unknown else "no label is there"
        raise UserError(f"{path} is not named after its plate: {reason}; rename it or leave it out")
    return label


def _in_directory(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise UserError(f"cannot list the directory {directory}: {error.strerror}") from error


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            kind = "not a file" if path.exists() else "missing"
            raise UserError(f"the image file {path} is {kind}; check the path")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(
                f"the image file {path} is larger than {MAX_BYTES // 1_000_000} MB; give a "
                "smaller one"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the image file {path}: {error.strerror}") from error
