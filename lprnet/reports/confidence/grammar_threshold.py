"""How much likelier a text that is no plate must be to stay, from plates and other texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.decode import best_plates, greedy

RATIOS = tuple(10.0**power for power in range(11))
KEPT = 0.99


@dataclass(frozen=True)
class Choice:
    """What is read with one ratio."""

    ratio: float
    plates_right: int
    others_right: int


def compare_ratios(
    plates: NDArray[np.float32],
    plate_texts: Sequence[str],
    others: NDArray[np.float32],
    other_texts: Sequence[str],
    alphabet: Alphabet,
) -> list[Choice]:
    """For each of `RATIOS` the logits `(N, classes, T)` of plates and of other texts read right."""
    right = [
        _right_by_ratio(logits, texts, alphabet)
        for logits, texts in ((plates, plate_texts), (others, other_texts))
    ]
    return [Choice(*one) for one in zip(RATIOS, *right, strict=True)]


def _right_by_ratio(
    logits: NDArray[np.float32], texts: Sequence[str], alphabet: Alphabet
) -> list[int]:
    counts = [0] * len(RATIOS)
    forced = best_plates(logits, alphabet=alphabet, far_likelier=float("inf"))
    for raw, (best, *_), text in zip(greedy(logits, alphabet), forced, texts, strict=True):
        for place, ratio in enumerate(RATIOS):
            stays = raw.confidence > ratio * best.confidence
            counts[place] += (raw if stays else best).text == text
    return counts


def best_ratio(choices: Sequence[Choice]) -> float:
    """The smallest that reads nearly all plates (`KEPT`) that any of them reads: a larger one takes
    away other texts and gives nothing.
    """
    most = max(one.plates_right for one in choices)
    return next(one.ratio for one in choices if one.plates_right >= KEPT * most)
