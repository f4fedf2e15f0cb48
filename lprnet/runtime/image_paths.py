"""Which files are images, and which plate a file is named after."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.ccpd import ccpd_plate
from lprnet.runtime.image_header import FORMATS
from lprnet.support.errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def list_images(arguments: Sequence[str]) -> list[Path]:
    """The files that `arguments` name, in their order, each file once.

    A directory stands for the images right in it, hidden ones apart, and a pattern (`*`, `?`, `[`)
    for what it matches, both sorted; anything else stands for itself, whether it exists or not, so
    that one wrong name among many is met when it is read. Raises `UserError` for a directory or
    pattern without images, and for a URL.
    """
    paths: list[Path] = []
    for argument in arguments:
        refuse_url(argument)
        path = Path(argument)
        if os.path.isdir(argument):
            found = _in_directory(path)
        elif glob.has_magic(argument) and not os.path.exists(argument):
            found = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]
            found = [name for name in found if name.suffix.lower() in SUFFIXES]
        else:
            found = [path]
        if not found:
            raise UserError(f"{argument} holds no {FORMATS} file; name images or another")
        paths += found
    return list(dict.fromkeys(paths))


def refuse_url(argument: str) -> None:
    """Raises `UserError` for a URL, unless a file is called like it."""
    if "://" in argument and not os.path.exists(argument):
        raise UserError(f"{argument} is a URL; download it and give the path of the file")


def images_in(folder: Path) -> list[Path]:
    """The images right in `folder`, sorted. Raises `UserError` if it is none or has none."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; name a folder of images")
    return list_images([str(folder)])


def label_of(path: Path, alphabet: Alphabet = CHINA) -> str:
    """The plate that a file is named after: its stem up to the first `-` or `_`, or what the name
    holds by the rules of CCPD.

    Raises `UserError` if that is empty, holds a character that `alphabet` lacks, or is no plate by
    its grammar (`025` of a name in another data set's form).
    """
    label = ccpd_plate(path.stem) or path.stem.replace("_", "-").partition("-")[0]
    label = alphabet.spelling(label)
    reason = "" if label else "no label is there"
    try:
        alphabet.encode(label)
        if label and not alphabet.is_plate(label):
            reason = f"{label!r} is the number of no plate"
    except ValueError as error:
        reason = str(error)
    if reason:
        raise UserError(f"{path} is not named after its plate: {reason}; rename it or leave it out")
    return label


def _in_directory(directory: Path) -> list[Path]:
    try:
        return sorted(
            path
            for path in directory.iterdir()
            if path.suffix.lower() in SUFFIXES and path.name[0] != "."
        )
    except OSError as error:
        raise UserError(f"cannot list the directory {directory}: {error.strerror}") from error
