"""Accuracy: how many images are read exactly as they are named, one image at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from lprnet.measure.backends import default_backend, open_backend, reads_and_means
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.artifact import read_manifest
from lprnet.runtime.decode import Logits, Plate, decode
from lprnet.runtime.image_format import PUBLISHED, ImageFormat
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import images_in, label_of
from lprnet.support.file_names import printable

if TYPE_CHECKING:  # it loads torch, which artifacts do without
    from lprnet.model.checkpoint import Stated


TOP = 3
"""Texts among which the right one may be."""


@dataclass(frozen=True)
class ReadImage:
    """One image, its label, and what was read."""

    path: Path
    label: str
    plate: Plate
    among_top: bool
    """Whether the label is among the most probable texts, as many as were looked at."""

    @property
    def right(self) -> bool:
        """Whether the text is the label."""
        return self.plate.text == self.label


@dataclass(frozen=True)
class Evaluation:
    """The count of correct texts, over all images and over those used in no calibration."""

    file: str
    backend: str
    grammar: bool
    correct: int
    among_top_three: int
    """Images whose label is one of the three most probable texts."""
    character_accuracy: float
    """1 less the edits (insertions, deletions, replacements) that turn what was read into the
    labels, for each character of a label."""
    total: int
    uncalibrated_correct: int
    uncalibrated_total: int

    def __str__(self) -> str:
        lines = [
            f"{printable(self.file)} in {self.backend}"
            f"{' with the grammar' if self.grammar else ''}",
            f"{self.correct}/{self.total} correct ({self.correct / self.total:.2%}), "
            f"{self.among_top_three} among the top three, "
            f"{self.character_accuracy:.2%} of the characters",
        ]
        if 0 < self.uncalibrated_total < self.total:
            lines.append(
                f"{self.uncalibrated_correct}/{self.uncalibrated_total} correct "
                f"({self.uncalibrated_correct / self.uncalibrated_total:.2%}) "
                "of the images that nothing was calibrated on"
            )
        return "\n".join(lines)


def evaluate(
    path: Path,
    data: Path,
    backend: str | None = None,
    *,
    grammar: bool = False,
    rows: str = "1",
    stated: Stated | None = None,
) -> tuple[Evaluation, list[ReadImage]]:
    """Read every image of the directory `data` with the artifact, checkpoint or ONNX file `path`.

    `backend` is a key of `BACKENDS`, by default the one for the ending of `path`. `rows` is as in
    `two_rows.has_two_rows`. `stated` is what is known of a checkpoint's network beside its tensors.
    Raises `UserError` if anything cannot be read, or if an image is not named after its plate.
    """
    paths = images_in(data)
    backend = backend or default_backend(path)
    logits = open_backend(path, backend, stated)
    image_format, alphabet = reads_and_means(path, stated)
    labels = [label_of(image, alphabet) for image in paths]
    calibrated = set(read_manifest(path).calibration) if backend == "tvm" else set()
    read = read_labelled(
        logits, paths, labels, image_format, alphabet, grammar=grammar, rows=rows, top=TOP
    )
    fresh = [one for one in read if one.path.name not in calibrated]
    edits = sum(edit_distance(one.plate.text, one.label) for one in read)
    result = Evaluation(
        file=str(path),
        backend=backend,
        grammar=grammar,
        correct=sum(one.right for one in read),
        among_top_three=sum(one.among_top for one in read),
        character_accuracy=1 - edits / sum(map(len, labels)),
        total=len(paths),
        uncalibrated_correct=sum(one.right for one in fresh),
        uncalibrated_total=len(fresh),
    )
    return result, read


def read_labelled(
    logits: Logits,
    paths: Sequence[Path],
    labels: Sequence[str],
    image_format: ImageFormat = PUBLISHED,
    alphabet: Alphabet = CHINA,
    *,
    grammar: bool = False,
    rows: str = "1",
    top: int = 1,
) -> list[ReadImage]:
    """Each of `paths`, read at batch 1. Where the first text is wrong, `top` are looked at."""
    read = []
    bar = tqdm(zip(paths, labels, strict=True), total=len(paths), delay=3, disable=None)
    for path, label in bar:
        found = logits(read_image(path, image_format=image_format, rows=rows)[None])
        ((plate,),) = decode(found, grammar=grammar, alphabet=alphabet)
        among_top = plate.text == label
        if not among_top and top > 1:
            (others,) = decode(found, top, grammar=grammar, alphabet=alphabet)
            among_top = label in {other.text for other in others}
        read.append(ReadImage(path, label, plate, among_top))
    return read


def edit_distance(text: str, label: str) -> int:
    """The fewest insertions, deletions and replacements of characters between them (Levenshtein,
    1966).
    """
    row = list(range(len(label) + 1))
    for place, character in enumerate(text, 1):
        diagonal, row[0] = row[0], place
        for column, wanted in enumerate(label, 1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + (character != wanted))
            diagonal, row[column] = row[column], best
    return row[-1]
