"""What is read of many images, as columns: no object for each plate.

`p` is `(N, C, T)`, as in `ctc.py`: the blank is the last class.
"""

from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.allowed_texts import Scored, allowed_texts
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.ctc import (
    Floats,
    best_texts,
    label_peaks,
    label_probability,
    prefix_beam_search,
    text_probability,
)
from lprnet.runtime.grammar import Automaton, compile_grammar
from lprnet.runtime.grammar_search import moves_of
from lprnet.runtime.texts import Indices, Texts

SEARCHED_AT_ONCE = 32
"""Images whose backward passes are in memory together: 2 MB, or 6 MB over all classes."""


class TextColumns(NamedTuple):
    """What was read of N images as columns: R texts, those of an image behind each other, best
    first.
    """

    images: Indices
    """`(R,)`: of which image each text is, in order."""
    confidences: Floats
    """`(R,)`"""
    texts: Texts
    peaks: Floats
    """The confidence of each label of the texts."""


def greedy_columns(p: Floats) -> TextColumns:
    """The text of each image's most probable path."""
    texts, peaks = best_texts(p)
    return TextColumns(np.arange(len(p)), text_probability(p, texts), texts, peaks)


def beam_columns(p: Floats, width: int, top: int) -> TextColumns:
    """The best `top` of `width` texts of a beam.

    The search has pruned some paths of each text, so its order is only roughly right: each text is
    scored again with all of its paths.
    """
    found = []
    for one in p:
        texts = prefix_beam_search(one, width)
        scores = label_probability(np.broadcast_to(one, (len(texts), *one.shape)), texts).tolist()
        scored = sorted(zip(texts, scores, strict=True), key=lambda text: -text[1])
        found.append(scored[:top])
    return _scored(p, np.arange(len(p)), found)


def allowed_columns(p: Floats, top: int, alphabet: Alphabet, far_likelier: float) -> TextColumns:
    """As `decode.best_plates`."""
    assert alphabet.grammar is not None
    automaton = compile_grammar(alphabet.grammar, alphabet.characters)
    read = greedy_columns(p)
    allowed = _accepted(read.texts, automaton, p.shape[1] - 1)
    doubtful = np.arange(len(p))
    if top == 1:
        doubtful = np.flatnonzero(~allowed | ~(read.confidences > 0.5))
    if not len(doubtful):
        return read
    least = np.where(allowed | (top > 1), 0.0, read.confidences / far_likelier)
    found: list[Scored] = []
    for first in range(0, len(doubtful), SEARCHED_AT_ONCE):
        images = doubtful[first : first + SEARCHED_AT_ONCE]
        found += allowed_texts(p[images], automaton, top, least[images])
    greedy_stays = np.ones(len(p), bool)
    for row, image in enumerate(doubtful.tolist()):
        best = found[row][0][1] if found[row] else 0.0
        if allowed[image]:
            greedy_stays[image] = not found[row]
        else:
            greedy_stays[image] = not read.confidences[image] <= far_likelier * best
        if greedy_stays[image]:
            found[row] = found[row][: top - 1]
    return _joined(read, greedy_stays, _scored(p, doubtful, found))


def _accepted(texts: Texts, automaton: Automaton, blank: int) -> NDArray[np.bool_]:
    """`(N,)`: which texts the automaton accepts."""
    moves = moves_of(automaton, blank)
    state = np.zeros(len(texts.lengths), np.intp)
    for labels in texts.table(blank):
        state = moves.targets[state, labels]
    return moves.accepting[state] > 0


def _scored(p: Floats, images: Indices, texts: list[Scored]) -> TextColumns:
    """The texts of some `images` of `p`, which come with their probabilities."""
    rows = np.repeat(images, [len(found) for found in texts])
    labels = [labels for found in texts for labels, _ in found]
    confidences = np.array([confidence for found in texts for _, confidence in found], np.float64)
    peaks = np.fromiter(chain(*label_peaks(p[rows], labels)), np.float64)
    return TextColumns(rows, confidences, Texts.of(labels), peaks)


def _joined(first: TextColumns, kept: NDArray[np.bool_], second: TextColumns) -> TextColumns:
    """The texts of `first` that are `kept`, each followed by those of `second` of its image."""
    kept = np.concatenate([kept, np.ones(len(second.images), bool)])
    images = np.concatenate([first.images, second.images])
    rows = np.flatnonzero(kept)
    rows = rows[images[rows].argsort(kind="stable")]
    lengths = np.concatenate([first.texts.lengths, second.texts.lengths])
    ends = lengths.cumsum()
    # The labels of each row, at its first one and on.
    begins = np.repeat(ends[rows] - lengths[rows].cumsum(), lengths[rows])
    places = begins + np.arange(len(begins))
    labels = np.concatenate([first.texts.labels, second.texts.labels])[places]
    return TextColumns(
        images[rows],
        np.concatenate([first.confidences, second.confidences])[rows],
        Texts(labels, lengths[rows]),
        np.concatenate([first.peaks, second.peaks])[places],
    )
