"""From logits `(N, classes, T)` to plates: greedy, or by beam search with alternatives.

A plate's confidence is the CTC probability of its text: the sum over all paths that spell it. A
character's confidence is the probability of its class at the position where that is highest,
within the positions that the most probable path gives to the character.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.ctc import (
    Floats,
    Labels,
    best_path,
    label_peaks,
    label_probability,
    prefix_beam_search,
    softmax,
)
from lprnet.support.errors import UserError

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""`(N, 24, 94, 3)` uint8 BGR to logits `(N, 68, 18)` float32."""

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


def greedy(logits: NDArray[np.float32], alphabet: Alphabet = CHINA) -> list[Plate]:
    """`(N, classes, T)` logits to N plates, each the text of its most probable path.

    Raises `UserError` where `alphabet` has another number of classes.
    """
    p = _probabilities(logits, alphabet)
    paths = best_path(p)
    confidences = label_probability(p, [labels for labels, _ in paths]).tolist()
    return [
        _plate(labels, confidence, peaks, alphabet)
        for (labels, peaks), confidence in zip(paths, confidences, strict=True)
    ]


def beam_search(
    logits: NDArray[np.float32], width: int = BEAM_WIDTH, alphabet: Alphabet = CHINA
) -> list[list[Plate]]:
    """`(N, classes, T)` logits to N lists of at most `width` plates, the most probable text first.

    Raises as `greedy`.
    """
    return [_hypotheses(p, width, alphabet) for p in _probabilities(logits, alphabet)]


def prefer_plates(hypotheses: Iterable[Plate], alphabet: Alphabet = CHINA) -> list[Plate]:
    """`hypotheses` with the texts that the alphabet's grammar allows first; else their order stays.

    Confidences stay as well: they are the network's, which knows no grammar.
    """
    return sorted(hypotheses, key=lambda plate: not alphabet.is_plate(plate.text))


def decode(
    logits: NDArray[np.float32],
    top: int = 1,
    grammar: bool = False,
    alphabet: Alphabet = CHINA,
) -> list[list[Plate]]:
    """`(N, classes, T)` logits to N lists of at most `top` plates, best first.

    One plate without the grammar is the greedy one; otherwise a beam search finds the candidates
    and, with `grammar`, those that are plate numbers come first. Raises as `greedy`.
    """
    if top == 1 and not grammar:
        return [[plate] for plate in greedy(logits, alphabet)]
    found = beam_search(logits, max(top, BEAM_WIDTH), alphabet)
    return [(prefer_plates(plates, alphabet) if grammar else plates)[:top] for plates in found]


def _probabilities(logits: NDArray[np.float32], alphabet: Alphabet) -> Floats:
    """`(N, classes, T)`, the blank moved to the last class, where `ctc.py` has it."""
    if logits.ndim != 3 or logits.shape[1] != alphabet.classes:
        raise UserError(
            f"logits of shape {logits.shape} do not have the {alphabet.classes} classes of the "
            f"alphabet {alphabet.name}; give the alphabet of the network"
        )
    if alphabet.blank != alphabet.classes - 1:
        blank = logits[:, alphabet.blank, None]
        logits = np.concatenate([np.delete(logits, alphabet.blank, axis=1), blank], axis=1)
    return softmax(logits)


def _hypotheses(p: Floats, width: int, alphabet: Alphabet) -> list[Plate]:
    """The plates of one image, `p` `(classes, T)`, the blank last.

    The search has pruned some paths of each text, so its order is only roughly right: each text is
    scored again with all of its paths.
    """
    found = prefix_beam_search(p, width)
    repeated = np.broadcast_to(p, (len(found), *p.shape))
    scores = label_probability(repeated, found).tolist()
    peaks = label_peaks(repeated, found)
    plates = [_plate(*scored, alphabet) for scored in zip(found, scores, peaks, strict=True)]
    return sorted(plates, key=lambda plate: -plate.confidence)


def _plate(labels: Labels, confidence: float, peaks: list[float], alphabet: Alphabet) -> Plate:
    characters = tuple(
        Character(alphabet.characters[label], peak)
        for label, peak in zip(labels, peaks, strict=True)
    )
    return Plate("".join(character.text for character in characters), confidence, characters)
