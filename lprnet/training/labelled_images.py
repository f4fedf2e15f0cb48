"""A user's labelled images: named after their plates, or listed in a CSV file."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.model.architecture import Architecture
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import images_in, label_of
from lprnet.support.errors import UserError

HEADER = ["file", "text"]
HELD_OUT = 10
"""One image in so many is for validation; fewer images are all trained on."""


@dataclass(frozen=True)
class LabelledImages:
    """`images (N, H, W, C)` uint8 as a network reads them, their texts, and their names."""

    images: NDArray[np.uint8]
    texts: list[str]
    names: list[str]

    def split(self, seed: int) -> tuple["LabelledImages", "LabelledImages"]:
        """The images to train on, and those to validate on, chosen by `seed`."""
        order = np.random.default_rng((seed, 3)).permutation(len(self.texts))
        held_out = len(order) // HELD_OUT
        return self._part(order[held_out:]), self._part(order[:held_out])

    def _part(self, chosen: NDArray[np.int64]) -> "LabelledImages":
        return LabelledImages(
            self.images[chosen],
            [self.texts[index] for index in chosen],
            [self.names[index] for index in chosen],
        )


def read_labelled(source: Path, architecture: Architecture) -> LabelledImages:
    """The images of the folder `source`, or those that a CSV file lists under `file,text`, with
    paths relative to its own folder.

    Raises `UserError` for an image that cannot be read, and for labels that are missing, that the
    alphabet does not have, or that CTC cannot emit at the network's positions.
    """
    listed = list(_from_csv(source) if source.is_file() else _from_names(source, architecture))
    listed = [(path, architecture.alphabet.spelling(text)) for path, text in listed]
    reasons = [(path, _why_unusable(text, architecture)) for path, text in listed]
    bad = [(path, reason) for path, reason in reasons if reason]
    if bad:
        path, reason = bad[0]
        count = f"{len(bad)} of {len(listed)} labels of {source} cannot be used, the first being "
        raise UserError(f"{count if len(bad) > 1 else ''}{path}: {reason}; correct or remove it")
    image_format = architecture.image_format
    images = [read_image(path, image_format=image_format) for path, _ in listed]
    return LabelledImages(
        np.stack(images), [text for _, text in listed], [str(path) for path, _ in listed]
    )


def _from_names(folder: Path, architecture: Architecture) -> Iterator[tuple[Path, str]]:
    for path in images_in(folder):
        yield path, label_of(path, architecture.alphabet)


def _from_csv(path: Path) -> Iterator[tuple[Path, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise UserError(f"cannot read the labels {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file of labels ({error}); save it as UTF-8") from error
    if not rows or [name.strip() for name in rows[0]] != HEADER or not any(rows[1:]):
        raise UserError(
            f"{path} lists no labels; give a CSV file whose first line is {','.join(HEADER)}, with "
            "a line for each image"
        )
    for number, row in enumerate(rows[1:], start=2):
        if row:
            if len(row) != len(HEADER):
                raise UserError(
                    f"{path} has {len(row)} fields in line {number}, not a file and its text; "
                    "correct the line"
                )
            yield path.parent / row[0], row[1].strip()


def _why_unusable(text: str, architecture: Architecture) -> str:
    """Why no network of `architecture` can learn `text`; empty where it can."""
    alphabet = architecture.alphabet
    if not text:
        return "it has no text"
    try:
        label = alphabet.encode(text)
    except ValueError as error:
        return f"its text {text!r} cannot be learnt: {error}"
    if not alphabet.is_plate(text):
        return f"its text {text!r} is no plate by the alphabet's grammar"
    between = sum(one == other for one, other in zip(label, label[1:], strict=False))
    needed, positions = len(label) + between, architecture.positions
    if needed > positions:
        return (
            f"its text {text!r} takes {needed} positions, with a blank between equal neighbours, "
            f"and the network has {positions}"
        )
    return ""
