"""From logits `(N, classes, T)` to plates: greedy, with alternatives, or under a grammar.

A plate's confidence is the CTC probability of its text, the sum over all paths that spell it, until
`Recognizer` calibrates it. A character's confidence is the probability of its class at the position
where that is highest, within the positions that the most probable path gives to the character.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.arrays import NDArray
from lprnet.runtime.late_import import allowed_columns
from lprnet.runtime.text_columns import TextColumns, beam_columns, greedy_columns
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


def greedy(logits: NDArray[np.float32], alphabet: Alphabet = CHINA) -> list[Plate]:
    """`(N, classes, T)` logits to N plates, each the text of its most probable path.

    Raises `UserError` where `alphabet` has another number of classes.
    """
    read = greedy_columns(_blank_last(logits, alphabet))
    return [plate for (plate,) in plates_of(read, len(logits), alphabet)]


def beam_search(
    logits: NDArray[np.float32], width: int = BEAM_WIDTH, alphabet: Alphabet = CHINA
) -> list[list[Plate]]:
    """`(N, classes, T)` logits to N lists of at most `width` plates, the most probable text first.

    Raises as `greedy`.
    """
    read = beam_columns(_blank_last(logits, alphabet), width, width)
    return plates_of(read, len(logits), alphabet)


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
    ordered = _blank_last(logits, alphabet)
    read = allowed_columns().allowed_columns(ordered, top, alphabet, far_likelier)
    return plates_of(read, len(logits), alphabet)


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


def read_texts(
    logits: NDArray[np.float32],
    top: int = 1,
    grammar: bool = False,
    alphabet: Alphabet = CHINA,
) -> TextColumns:
    """`(N, classes, T)` logits to what `decode` finds, as columns. Raises as `greedy`."""
    logits = _blank_last(logits, alphabet)
    if grammar and alphabet.grammar is not None:
        read: TextColumns
        read = allowed_columns().allowed_columns(logits, top, alphabet, FAR_LIKELIER)
        return read
    if top == 1:
        return greedy_columns(logits)
    return beam_columns(logits, max(top, BEAM_WIDTH), top)


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
    return plates_of(read_texts(logits, top, grammar, alphabet), len(logits), alphabet)


def _blank_last(logits: NDArray[np.float32], alphabet: Alphabet) -> NDArray[np.float32]:
    """`(N, classes, T)`, the blank moved to the last class, where `ctc.py` has it. Raises
    `UserError` as `greedy`.
    """
    if logits.ndim != 3 or logits.shape[1] != alphabet.classes:
        raise UserError(
            f"logits of shape {logits.shape} do not have the {alphabet.classes} classes of the "
            f"alphabet {alphabet.name}; give the alphabet of the network"
        )
    if alphabet.blank != alphabet.classes - 1:
        blank = logits[:, alphabet.blank, None]
        logits = np.concatenate([np.delete(logits, alphabet.blank, axis=1), blank], axis=1)
    return logits


def plates_of(read: TextColumns, images: int, alphabet: Alphabet) -> list[list[Plate]]:
    """For each of so many images its plates."""
    characters = alphabet.characters
    symbols = [
        tuple([characters[label] for label in labels])
        for labels in read.texts.split(read.texts.labels.tolist())
    ]
    plates: list[list[Plate]] = [[] for _ in range(images)]
    for image, *plate in zip(
        read.images.tolist(),
        map("".join, symbols),
        read.confidences.tolist(),
        symbols,
        map(tuple, read.texts.split(read.peaks.tolist())),
        strict=True,
    ):
        plates[image].append(Plate(*plate))
    return plates
