"""How well a network reads rendered plates: by difficulty, by kind of plate, by province."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from tqdm import tqdm

from lprnet.measure.backends import default_backend, open_backend, reads_and_means
from lprnet.model.published_lprnet import reads_as_published
from lprnet.runtime.decode import decode
from lprnet.runtime.plate_grammar import PROVINCES
from lprnet.support.errors import UserError
from lprnet.synthetic.render import BLUE, GREEN, SAMPLE_SEED, YELLOW, render
from lprnet.synthetic.two_rows import render_two_rows

if TYPE_CHECKING:  # it loads torch, which artifacts do without
    from lprnet.model.checkpoint import Stated

DIFFICULTIES = (0.0, 0.5, 1.0, 1.5, 2.0)
FEWEST_SHOWN = 3
"""Provinces that are named, those that are read worst."""

Plate = tuple[NDArray[np.uint8], str]


def _two_rows(index: int, difficulty: float) -> Plate:
    _, image, text = render_two_rows(SAMPLE_SEED, index, difficulty)
    return image, text


KINDS: dict[str, Callable[[int, float], Plate]] = {
    "all": lambda index, difficulty: render(SAMPLE_SEED, index, difficulty),
    "blue": lambda index, difficulty: render(SAMPLE_SEED, index, difficulty, BLUE),
    "green": lambda index, difficulty: render(SAMPLE_SEED, index, difficulty, GREEN),
    "yellow": lambda index, difficulty: render(SAMPLE_SEED, index, difficulty, YELLOW),
    "two rows": _two_rows,
}
"""Plate `index` of a difficulty. `all` are the kinds as often as `Kind.share` says."""


@dataclass(frozen=True)
class RenderedAccuracy:
    """Shares from 0 to 1 of plates whose text was read exactly."""

    file: str
    backend: str
    grammar: bool
    plates: int
    """Of each kind at each difficulty."""
    right: dict[str, dict[str, float]]
    """By kind, then by difficulty as text."""
    provinces: dict[str, float]
    """By the first character, over all plates of all difficulties but those with two rows."""

    def table(self) -> Table:
        """Percent, a row a difficulty, a column a kind."""
        table = Table("difficulty", *KINDS, box=box.ROUNDED)
        for difficulty in map(str, DIFFICULTIES):
            cells = [f"{100 * self.right[kind][difficulty]:.1f}" for kind in KINDS]
            table.add_row(difficulty, *cells)
        return table

    def sentence(self) -> str:
        """What the table does not say."""
        worst = sorted(self.provinces.items(), key=lambda item: item[1])[:FEWEST_SHOWN]
        named = ", ".join(f"{province} {share:.1%}" for province, share in worst)
        return (
            f"percent of {self.plates:,} rendered plates of each kind and difficulty, "
            f"{'with the grammar' if self.grammar else 'greedy'}; least read provinces: {named}"
        )


def evaluate_rendered(
    path: Path,
    count: int,
    backend: str | None = None,
    *,
    grammar: bool = False,
    stated: Stated | None = None,
) -> RenderedAccuracy:
    """Read `count` plates of each kind and difficulty with the artifact, checkpoint or ONNX file
    `path`; the plates are those of `SAMPLE_SEED`, which no training and no calibration renders.

    `backend` and `stated` are as in `lprnet.measure.accuracy.evaluate`. Raises `UserError` for a
    network that does not read China's plates as 94x24 BGR images.
    """
    image_format, alphabet = reads_and_means(path, stated)
    if not reads_as_published(image_format, alphabet):
        raise UserError(
            f"{path} does not read China's plates as 94x24 BGR images, and no others are rendered; "
            "give labelled images with --data"
        )
    backend = backend or default_backend(path)
    logits = open_backend(path, backend, stated)
    right: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
    seen, read = Counter[str](), Counter[str]()
    for kind, difficulty, plates in _cells(count):
        correct = 0
        for image, text in plates:
            ((plate,),) = decode(logits(image[None]), grammar=grammar, alphabet=alphabet)
            correct += plate.text == text
            if kind != "two rows":
                seen[text[0]] += 1
                read[text[0]] += plate.text == text
        right[kind][str(difficulty)] = correct / count
    provinces = {one: read[one] / seen[one] for one in PROVINCES if seen[one]}
    return RenderedAccuracy(str(path), backend, grammar, count, right, provinces)


def _cells(count: int) -> Iterator[tuple[str, float, Iterator[Plate]]]:
    """Each cell of the table with its plates, under one progress bar."""
    cells = [(kind, difficulty) for kind in KINDS for difficulty in DIFFICULTIES]
    with tqdm(total=count * len(cells), unit="plate", delay=3, disable=None) as bar:
        for kind, difficulty in cells:
            yield kind, difficulty, _plates(kind, difficulty, count, bar)


def _plates(kind: str, difficulty: float, count: int, bar: tqdm[None]) -> Iterator[Plate]:
    for index in range(count):
        yield KINDS[kind](index, difficulty)
        bar.update()
