"""From logits `(N, classes, T)` to plates: greedy, with alternatives, or under a grammar.

A plate's confidence is the CTC probability of its text, the sum over all paths that spell it, until
`Plate.calibrated` makes another of it. A
character's confidence is the probability of its class at the position where that is highest,
within the positions that the most probable path gives to the character.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.ctc import (
    Floats,
    Labels,
    best_path,
    label_peaks,
    label_probability,
    prefix_beam_search,
    softmax,
)
from lprnet.runtime.grammar import compile_grammar
from lprnet.runtime.grammar_search import best_allowed, suffixes
from lprnet.support.errors import UserError

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""`(N, 24, 94, 3)` uint8 BGR to logits `(N, 68, 18)` float32."""

BEAM_WIDTH = 8
"""Enough for LPRNet: a width of 64 finds the same best text for all 1000 public test images."""

FAR_LIKELIER = 1000.0
"""Chosen among powers of ten on rendered plates and on rendered texts that are none; `lprnet
calibrate` prints both counts. From here on more plates are hardly gained: the public checkpoint
reads 99 % of those that it reads with any from 100 or 1000 on, by the seed, the weights that ship
from 1 on. Beyond it other texts are lost.
"""
SEARCHED_AT_ONCE = 32
"""Images whose backward passes are in memory together: 1.6 MB."""


class Character(NamedTuple):
    """One character and its confidence, 0 to 1."""

    text: str
    confidence: float


class Plate(NamedTuple):
    """What was read: the text, its confidence from 0 to 1, and its characters in order."""

    text: str
    confidence: float
    symbols: tuple[str, ...]
    """The text's characters; a symbol of an alphabet may have several letters."""
    symbol_confidences: tuple[float, ...]

    @property
    def characters(self) -> tuple[Character, ...]:
        """The symbols, each with its confidence."""
        return tuple(map(Character, self.symbols, self.symbol_confidences))

    @property
    def lowest(self) -> float:
        """The confidence of the character that is least sure; 0 where there is none."""
        return min(self.symbol_confidences, default=0.0)

    def calibrated(self, calibration: ConfidenceCalibration) -> "Plate":
        """The plate with the confidence that `calibration` gives its probability."""
        confidence = calibration.confidence(self.confidence)
        return Plate(self.text, confidence, self.symbols, self.symbol_confidences)


def greedy(logits: NDArray[np.float32], alphabet: Alphabet = CHINA) -> list[Plate]:
    """`(N, classes, T)` logits to N plates, each the text of its most probable path.

    Raises `UserError` where `alphabet` has another number of classes.
    """
    return [plate for _, plate in _greedy(_probabilities(logits, alphabet), alphabet)]


def beam_search(
    logits: NDArray[np.float32], width: int = BEAM_WIDTH, alphabet: Alphabet = CHINA
) -> list[list[Plate]]:
    """`(N, classes, T)` logits to N lists of at most `width` plates, the most probable text first.

    Raises as `greedy`.
    """
    return [_hypotheses(p, width, alphabet) for p in _probabilities(logits, alphabet)]


def best_plates(
    logits: NDArray[np.float32],
    top: int = 1,
    alphabet: Alphabet = CHINA,
    far_likelier: float = FAR_LIKELIER,
) -> list[list[Plate]]:
    """`(N, classes, T)` logits to N lists of at most `top` plates: of the texts that the alphabet's
    grammar allows exactly the most probable ones, best first.

    Where the greedy text is not allowed but `far_likelier` times as probable as the best allowed
    one, it stands before them: something else is on the image. So it does where so many texts are
    nearly as probable that the search gives up (`best_allowed`). Where it is allowed and has more
    than half of all probability, no other can have more, and no search is needed. Confidences are
    the network's, which knows no grammar. Raises as `greedy`.
    """
    assert alphabet.grammar is not None
    automaton = compile_grammar(alphabet.grammar, alphabet.characters)
    p = _probabilities(logits, alphabet)
    read = _greedy(p, alphabet)
    allowed = [automaton.accepts(labels) for labels, _ in read]
    found = [[plate] for _, plate in read]
    doubtful = [
        image
        for image, (_, plate) in enumerate(read)
        if top > 1 or not allowed[image] or plate.confidence <= 0.5
    ]
    for first in range(0, len(doubtful), SEARCHED_AT_ONCE):
        images = doubtful[first : first + SEARCHED_AT_ONCE]
        behind = suffixes(p[images], automaton)
        searched, texts = [], []
        for row, image in enumerate(images):
            no_plate = float(behind.best[row]) * far_likelier < read[image][1].confidence
            if top > 1 or allowed[image] or not no_plate:
                searched.append(image)
                texts.append(best_allowed(p[image], behind.continued[row], automaton, top))
        for image, plates in zip(searched, _plates(p[searched], texts, alphabet), strict=True):
            best = plates[0].confidence if plates else 0.0
            if allowed[image]:
                found[image] = plates or found[image]
            elif read[image][1].confidence <= far_likelier * best:
                found[image] = plates
            else:
                found[image] = [*found[image], *plates][:top]
    return found


def uses_grammar(alphabet: Alphabet, asked: bool | None) -> bool:
    """Whether to decode under the grammar of `alphabet`: as `asked`, or, if that is None, where
    there is one. Raises `UserError` if it was asked for and there is none.
    """
    if asked and alphabet.grammar is None:
        raise UserError(
            f"the alphabet {alphabet.name} has no grammar; read without it (--no-grammar), or add "
            "one to the alphabet and build again"
        )
    return alphabet.grammar is not None if asked is None else asked


def decode(
    logits: NDArray[np.float32],
    top: int = 1,
    grammar: bool = False,
    alphabet: Alphabet = CHINA,
) -> list[list[Plate]]:
    """`(N, classes, T)` logits to N lists of at most `top` plates, best first.

    With `grammar`, if the alphabet has one, as `best_plates`; else one plate is the greedy one, and
    more come from a beam search. Raises as `greedy`.
    """
    if grammar and alphabet.grammar is not None:
        return best_plates(logits, top, alphabet)
    if top == 1:
        return [[plate] for plate in greedy(logits, alphabet)]
    found = beam_search(logits, max(top, BEAM_WIDTH), alphabet)
    return [plates[:top] for plates in found]


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


def _greedy(p: Floats, alphabet: Alphabet) -> list[tuple[Labels, Plate]]:
    """The labels and the plate of each image's most probable path; the blank is last in `p`."""
    paths = best_path(p)
    confidences = label_probability(p, [labels for labels, _ in paths]).tolist()
    characters = alphabet.characters
    return [
        (labels, _plate(labels, confidence, peaks, characters))
        for (labels, peaks), confidence in zip(paths, confidences, strict=True)
    ]


def _hypotheses(p: Floats, width: int, alphabet: Alphabet) -> list[Plate]:
    """The plates of one image, `p` `(classes, T)`, the blank last.

    The search has pruned some paths of each text, so its order is only roughly right: each text is
    scored again with all of its paths.
    """
    texts = prefix_beam_search(p, width)
    scores = label_probability(np.broadcast_to(p, (len(texts), *p.shape)), texts).tolist()
    (plates,) = _plates(p[None], [list(zip(texts, scores, strict=True))], alphabet)
    return sorted(plates, key=lambda plate: -plate.confidence)


def _plates(
    p: Floats, texts: list[list[tuple[Labels, float]]], alphabet: Alphabet
) -> list[list[Plate]]:
    """For each image of `p` the plates of its texts, which come with their probabilities."""
    images = [image for image, found in enumerate(texts) for _ in found]
    peaks = iter(label_peaks(p[images], [labels for found in texts for labels, _ in found]))
    characters = alphabet.characters
    return [[_plate(*scored, next(peaks), characters) for scored in found] for found in texts]


def _plate(
    labels: Labels, confidence: float, peaks: list[float], characters: tuple[str, ...]
) -> Plate:
    symbols = tuple([characters[label] for label in labels])
    return Plate("".join(symbols), confidence, symbols, tuple(peaks))
