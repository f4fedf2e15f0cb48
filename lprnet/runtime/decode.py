"""From logits `(N, 68, 18)` to plates: greedy, or by beam search with alternatives.

A plate's confidence is the CTC probability of its text: the sum over all paths that spell it. A
character's confidence is the probability of its class at the position where that is highest,
within the positions that the most probable path gives to the character.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import ALPHABET
from lprnet.runtime.ctc import (
    Floats,
    Labels,
    best_path,
    label_peaks,
    label_probability,
    prefix_beam_search,
    softmax,
)
from lprnet.runtime.plate_grammar import is_plate

BEAM_WIDTH = 8
"""Enough for LPRNet: a width of 64 finds the same best text for all 1000 public test images."""


@dataclass(frozen=True, slots=True)
class Character:
    """One character and its confidence, 0 to 1."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Plate:
    """What was read: the text, its confidence from 0 to 1, and its characters in order."""

    text: str
    confidence: float
    characters: tuple[Character, ...]


def greedy(logits: NDArray[np.float32]) -> list[Plate]:
    """`(N, 68, 18)` logits to N plates, each the text of its most probable path."""
    p = softmax(logits)
    paths = best_path(p)
    confidences = label_probability(p, [labels for labels, _ in paths]).tolist()
    return [
        _plate(labels, confidence, peaks)
        for (labels, peaks), confidence in zip(paths, confidences, strict=True)
    ]


def beam_search(logits: NDArray[np.float32], width: int = BEAM_WIDTH) -> list[list[Plate]]:
    """`(N, 68, 18)` logits to N lists of at most `width` plates, the most probable text first."""
    return [_hypotheses(p, width) for p in softmax(logits)]


def prefer_plates(hypotheses: Iterable[Plate]) -> list[Plate]:
    """`hypotheses` with the numbers that `plate_grammar.py` allows first; else their order stays.

    Confidences stay as well: they are the network's, which knows no grammar.
    """
    return sorted(hypotheses, key=lambda plate: not is_plate(plate.text))


def decode(logits: NDArray[np.float32], top: int = 1, grammar: bool = False) -> list[list[Plate]]:
    """`(N, 68, 18)` logits to N lists of at most `top` plates, best first.

    One plate without the grammar is the greedy one; otherwise a beam search finds the candidates
    and, with `grammar`, those that are plate numbers come first.
    """
    if top == 1 and not grammar:
        return [[plate] for plate in greedy(logits)]
    found = beam_search(logits, max(top, BEAM_WIDTH))
    return [(prefer_plates(plates) if grammar else plates)[:top] for plates in found]


def _hypotheses(p: Floats, width: int) -> list[Plate]:
    """The plates of one image, `p` `(68, 18)`.

    The search has pruned some paths of each text, so its order is only roughly right: each text is
    scored again with all of its paths.
    """
    found = prefix_beam_search(p, width)
    repeated = np.broadcast_to(p, (len(found), *p.shape))
    scores = label_probability(repeated, found).tolist()
    peaks = label_peaks(repeated, found)
    plates = [_plate(*scored) for scored in zip(found, scores, peaks, strict=True)]
    return sorted(plates, key=lambda plate: -plate.confidence)


def _plate(labels: Labels, confidence: float, peaks: list[float]) -> Plate:
    characters = tuple(
        Character(ALPHABET[label], peak) for label, peak in zip(labels, peaks, strict=True)
    )
    return Plate("".join(character.text for character in characters), confidence, characters)
