"""`lprnet calibrate`'s work: how sure an artifact's plates are, measured and written into it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.reports.confidence.fit import Bin, calibration_error, fit, reliability
from lprnet.reports.confidence.grammar_threshold import Choice, best_ratio, compare_ratios
from lprnet.runtime.artifact import read_artifact, write_artifact
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.decode import Plate, decode, uses_grammar
from lprnet.runtime.image_io import read_image, resize
from lprnet.runtime.image_paths import images_in, label_of
from lprnet.runtime.manifest import Manifest
from lprnet.runtime.plate_grammar import PROVINCES
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.other_images import other_image, other_text
from lprnet.synthetic.render import render

FIT_SEED, CHECK_SEED, OTHER_SEED = 9_000_011, 9_000_041, 9_000_067
"""No training, validation or sample plates have these."""
DIFFICULTIES = (0.5, 2.0)
OTHER_IMAGES, OTHER_TEXTS = 1000, 1000

Images = list[tuple[NDArray[np.uint8], str]]
"""Each `(H, W, C)` of the artifact's image format, with its text."""


@dataclass(frozen=True)
class Accepted:
    """What a least confidence of `ConfidenceCalibration.precise_at` does."""

    precision: float
    """The share of the accepted plates that is right; 1 where none is accepted."""
    rejected: float
    """The share of all plates that is not accepted."""


@dataclass(frozen=True)
class Confidence:
    """What was fitted on one half of the images, and what it is worth on the other."""

    artifact: str
    grammar: bool
    calibration: ConfidenceCalibration
    right: float
    """The share of the checked plates that is read right."""
    error_before: float
    """Expected calibration error of CTC probabilities."""
    error: float
    """And of calibrated confidences."""
    bins: list[Bin]
    accepted: Accepted
    other_images_accepted: float
    """The share of blank images, noise and streets."""
    elsewhere: Accepted | None
    """The same confidence on labelled images that chose nothing, if some were given."""
    ratios: list[Choice]
    """Empty where the alphabet has no grammar, or plates of it cannot be rendered."""
    best_ratio: float | None
    """The smallest that reads 99 % of the plates that any reads."""


def measure(
    artifact: Path, data: Path | None, plates: int, check: Path | None = None
) -> Confidence:
    """Fit on `plates` rendered plates and check on as many others; or do both on the labelled
    images of the folder `data`, every second one each. What is fitted is also tried on the labelled
    images of the folder `check`.

    Raises `UserError` if anything cannot be read, or no plates of the alphabet can be rendered.
    """
    reader = Recognizer(artifact)
    manifest = reader.manifest
    if data is None:
        fitted, checked = (
            _rendered(manifest, FIT_SEED, plates),
            _rendered(manifest, CHECK_SEED, plates),
        )
        source = f"rendered plates of difficulty {DIFFICULTIES[0]:g} to {DIFFICULTIES[1]:g}"
    else:
        labelled = _labelled(manifest, data)
        fitted, checked = labelled[::2], labelled[1::2]
        source = f"images of {data.name}"
    grammar = uses_grammar(manifest.alphabet, None)
    probabilities, right = _read(reader, fitted)
    calibration = fit(probabilities, right, source)
    probabilities, right = _read(reader, checked)
    confidences = calibration.confidences(probabilities)
    bins = reliability(confidences, right)
    passed = _other_images_accepted(reader, calibration)
    elsewhere = None
    if check is not None:
        found, found_right = _read(reader, _labelled(manifest, check))
        elsewhere = _accepted(calibration, calibration.confidences(found), found_right)
    ratios = _ratios(reader, checked) if grammar and _can_render(manifest) else []
    return Confidence(
        str(artifact),
        grammar,
        calibration,
        float(right.mean()),
        calibration_error(reliability(probabilities, right)),
        calibration_error(bins),
        bins,
        _accepted(calibration, confidences, right),
        passed,
        elsewhere,
        ratios,
        best_ratio(ratios) if ratios else None,
    )


def keep(artifact: Path, calibration: ConfidenceCalibration) -> None:
    """Write `calibration` into the artifact's manifest, whole or not at all."""
    whole = read_artifact(artifact)
    write_artifact(whole._replace(manifest=replace(whole.manifest, confidence=calibration)))


def as_json(found: Confidence) -> dict[str, object]:
    """Its fields as JSON values."""
    return asdict(found)


def _rendered(manifest: Manifest, seed: int, count: int) -> Images:
    if not _can_render(manifest):
        raise UserError(
            f"plates of the alphabet {manifest.alphabet.name} cannot be rendered; give labelled "
            "images with --data"
        )
    difficulties = np.random.default_rng(seed).uniform(*DIFFICULTIES, count)
    return [
        (resize(image, manifest.image), text)
        for image, text in (
            render(seed, index, difficulty) for index, difficulty in enumerate(difficulties)
        )
    ]


def _can_render(manifest: Manifest) -> bool:
    return set(PROVINCES) <= set(manifest.alphabet.symbols)


def _labelled(manifest: Manifest, data: Path) -> Images:
    paths = images_in(data)
    if len(paths) < 2:
        raise UserError(f"{data} has one image; half of the images are fitted, half are checked")
    return [
        (read_image(path, image_format=manifest.image), label_of(path, manifest.alphabet))
        for path in paths
    ]


def _plates(reader: Recognizer, images: Sequence[NDArray[np.uint8]]) -> list[Plate]:
    """The best plate of each, with its CTC probability."""
    alphabet = reader.manifest.alphabet
    logits = reader.logits(np.stack(images))
    return [best for best, *_ in decode(logits, 1, uses_grammar(alphabet, None), alphabet)]


def _read(reader: Recognizer, images: Images) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The CTC probability of each image's plate, and whether it is right."""
    plates = _plates(reader, [image for image, _ in images])
    right = [plate.text == text for plate, (_, text) in zip(plates, images, strict=True)]
    return np.array([plate.confidence for plate in plates]), np.array(right)


def _accepted(
    calibration: ConfidenceCalibration,
    confidences: NDArray[np.float64],
    right: NDArray[np.bool_],
) -> Accepted:
    sure = confidences >= calibration.precise_at
    precision = float(right[sure].mean()) if sure.any() else 1.0
    return Accepted(precision, float((~sure).mean()))


def _other_images_accepted(reader: Recognizer, calibration: ConfidenceCalibration) -> float:
    others = [
        resize(other_image(OTHER_SEED, index), reader.manifest.image)
        for index in range(OTHER_IMAGES)
    ]
    probabilities = np.array([plate.confidence for plate in _plates(reader, others)])
    return float((calibration.confidences(probabilities) >= calibration.precise_at).mean())


def _ratios(reader: Recognizer, plates: Images) -> list[Choice]:
    image_format, alphabet = reader.manifest.image, reader.manifest.alphabet
    difficulties = np.random.default_rng(OTHER_SEED).uniform(*DIFFICULTIES, OTHER_TEXTS)
    others = [
        other_text(OTHER_SEED, index, difficulty) for index, difficulty in enumerate(difficulties)
    ]
    return compare_ratios(
        reader.logits(np.stack([image for image, _ in plates])),
        [text for _, text in plates],
        reader.logits(np.stack([resize(image, image_format) for image, _ in others])),
        [text for _, text in others],
        alphabet,
    )
