"""What calibration images say of a network: whether it reads them, and in which order of colours.

A network that was trained on other pixels or another alphabet fails no check of its tensors; it
reads nonsense. Confidence tells the first, the alphabet's grammar the second; and the class that
stands at most positions is CTC's blank, whatever the alphabet says.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.network import torch_logits
from lprnet.model.lprnet import LPRNet
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.decode import greedy

MAX_IMAGES = 32
"""As many say it as well as all."""
LOW_CONFIDENCE = 0.6
"""The median over images. On 50 photographs the public checkpoint's is 0.998, and 0.54 with red and
blue swapped; that of the weights that ship is 0.89, and 0.08."""
GAIN = 0.2
"""In median confidence: more than the order of colours changes where it does not matter."""
FEW_PLATES = 0.5
"""Of the texts: on the same photographs 0.98 and 0.88 are plates by the grammar."""
USUAL = 1 / 3
"""Of the positions. On photographs and on noise these checkpoints' blank is at half of them and
more, another class at a sixth at most."""


@dataclass(frozen=True)
class _Reading:
    confidence: float
    """The median."""
    plates: float
    """The share of texts that the alphabet's grammar allows; 1 without a grammar."""


def input_notes(model: LPRNet, images: NDArray[np.uint8], checkpoint: Path) -> tuple[str, ...]:
    """A sentence where `model`, loaded from `checkpoint`, seems to want other pixels or another
    alphabet than it is given; `images` are `(N, H, W, C)` uint8 BGR or grey.
    """
    images = images[:MAX_IMAGES]
    alphabet, logits = model.architecture.alphabet, torch_logits(model, images)
    own = _read(logits, alphabet)
    if images.shape[-1] == 3:
        swapped = _read(torch_logits(model, images[..., ::-1]), alphabet)
        if swapped.confidence > own.confidence + GAIN:
            return (
                f"{checkpoint} reads the calibration images better with red and blue swapped, with "
                f"a median confidence of {swapped.confidence:.2f} instead of {own.confidence:.2f}; "
                "if it was trained on the other order of colours, give it with --channels",
            )
    shares = np.bincount(logits.argmax(axis=1).reshape(-1), minlength=alphabet.classes)
    shares = shares / shares.sum()
    usual = int(shares.argmax())
    if shares[usual] > max(USUAL, 2 * shares[alphabet.blank]):
        return (
            f"{checkpoint} reads class {usual}, counted from 0, at {shares[usual]:.0%} of the "
            "positions of the calibration images, which only a blank usually is; the alphabet "
            f"{alphabet.name} has {alphabet.symbols[usual]!r} there and its blank at class "
            f"{alphabet.blank}; if the classes have another order, give it with --alphabet",
        )
    if own.confidence < LOW_CONFIDENCE:
        return (
            f"{checkpoint} reads the calibration images with a median confidence of "
            f"{own.confidence:.2f}, which is low; if they are plates as it was trained on, check "
            "--channels, --size and the normalisation in --architecture",
        )
    if own.plates < FEW_PLATES:
        return (
            f"only {own.plates:.0%} of the texts that {checkpoint} reads in the calibration images "
            f"are plates of the alphabet {alphabet.name}; if its classes stand "
            "for other symbols, give them with --alphabet",
        )
    return ()


def _read(logits: NDArray[np.float32], alphabet: Alphabet) -> _Reading:
    plates = greedy(logits, alphabet)
    confidence = float(np.median([plate.confidence for plate in plates]))
    return _Reading(confidence, float(np.mean([alphabet.is_plate(p.text) for p in plates])))
