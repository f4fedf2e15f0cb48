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
from lprnet.runtime.decode import Logits, decode
from lprnet.runtime.image_format import PUBLISHED, ImageFormat
from lprnet.runtime.image_io import images_in, label_of, read_image

if TYPE_CHECKING:  # it loads torch, which artifacts do without
    from lprnet.model.checkpoint import Stated


@dataclass(frozen=True)
class Evaluation:
    """The count of correct texts, over all images and over those used in no calibration."""

    file: str
    backend: str
    grammar: bool
    correct: int
    total: int
    uncalibrated_correct: int
    uncalibrated_total: int

    def __str__(self) -> str:
        lines = [
            f"{self.file} in {self.backend}{' with the grammar' if self.grammar else ''}",
            f"{self.correct}/{self.total} correct ({self.correct / self.total:.2%})",
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
    stated: Stated | None = None,
) -> Evaluation:
    """Read every image of the directory `data` with the artifact, checkpoint or ONNX file `path`.

    `backend` is a key of `BACKENDS`, by default the one for the ending of `path`. `stated` is what
    is known of a checkpoint's network beside its tensors. Raises `UserError` if anything cannot be
    read, or if an image is not named after its plate.
    """
    paths = images_in(data)
    backend = backend or default_backend(path)
    logits = open_backend(path, backend, stated)
    image_format, alphabet = reads_and_means(path, stated)
    labels = [label_of(image, alphabet) for image in paths]
    calibrated = set(read_manifest(path).calibration) if backend == "tvm" else set()
    right = correct_images(logits, paths, labels, image_format, alphabet, grammar=grammar)
    fresh = {image for image in paths if image.name not in calibrated}
    return Evaluation(
        str(path), backend, grammar, len(right), len(paths), len(right & fresh), len(fresh)
    )


def correct_images(
    logits: Logits,
    paths: Sequence[Path],
    labels: Sequence[str],
    image_format: ImageFormat = PUBLISHED,
    alphabet: Alphabet = CHINA,
    *,
    grammar: bool = False,
) -> set[Path]:
    """Those of `paths` whose text, read at batch 1, equals their label."""
    right = set()
    bar = tqdm(zip(paths, labels, strict=True), total=len(paths), delay=3, disable=None)
    for path, label in bar:
        image = read_image(path, image_format=image_format)
        ((plate,),) = decode(logits(image[None]), grammar=grammar, alphabet=alphabet)
        if plate.text == label:
            right.add(path)
    return right
