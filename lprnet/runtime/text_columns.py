"""What is read of many images, as columns: no object for each plate.

Logits are `(N, C, T)`, the blank the last class, as in the probabilities `p` of `ctc.py`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.allowed_texts import Scored, allowed_texts
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.ctc import (
    TOGETHER,
    Floats,
    best_paths,
    exponentials,
    prefix_beam_search,
    softmax,
)
from lprnet.runtime.grammar import Automaton, compile_grammar
from lprnet.runtime.grammar_search import moves_of
from lprnet.runtime.lattice import (
    label_probability,
    lattice_of,
    spelled_probability,
    text_peaks,
)
from lprnet.runtime.texts import Indices, Texts

Logits = NDArray[np.float32]
SEARCHED_AT_ONCE = 64
"""Images whose backward passes are in memory together: 4 MB, or 12 MB over all classes."""


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

    def firsts(self) -> Indices:
        """The rows of the best texts, one for each image that has any."""
        return np.flatnonzero(np.diff(self.images, prepend=-1))

    def ranks(self) -> Indices:
        """`(R,)`: 1 for the best text of an image, 2 for the next, and so on."""
        firsts = self.firsts()
        texts = np.diff(firsts, append=len(self.images))
        return np.arange(1, len(self.images) + 1) - np.repeat(firsts, texts)


def greedy_columns(logits: Logits) -> TextColumns:
    """The text of each image's most probable path.

    Of the probabilities only those of the path and of its labels are needed, so the others are
    never divided nor kept.
    """
    paths = best_paths(logits)
    images, classes, positions = logits.shape
    table = paths.texts.table(classes - 1)
    blank, on_path = np.empty((2, images, positions))
    emitted = np.empty((*table.shape, positions))
    for first in range(0, images, TOGETHER):
        some = slice(first, first + TOGETHER)
        powers, sums = exponentials(logits[some])
        sums = sums[:, 0]
        row = np.arange(len(sums))
        np.divide(powers[:, -1], sums, out=blank[some])
        np.divide(powers[row, table[:, some]], sums, out=emitted[:, some])
        path = paths.classes[some]
        np.divide(powers[row[:, None], path, np.arange(positions)], sums, out=on_path[some])
    lattice = lattice_of(blank, emitted, table)
    confidences = spelled_probability(lattice, paths.texts.lengths)
    return TextColumns(np.arange(images), confidences, paths.texts, paths.peaks(on_path))


def beam_columns(logits: Logits, width: int, top: int) -> TextColumns:
    """The best `top` of `width` texts of a beam.

    The search has pruned some paths of each text, so its order is only roughly right: each text is
    scored again with all of its paths.
    """
    found, p = [], softmax(logits)
    for one in p:
        texts = prefix_beam_search(one, width)
        scores = label_probability(np.broadcast_to(one, (len(texts), *one.shape)), texts).tolist()
        scored = sorted(zip(texts, scores, strict=True), key=lambda text: -text[1])
        found.append(scored[:top])
    return _scored(p, np.arange(len(p)), found)


def allowed_columns(
    logits: Logits, top: int, alphabet: Alphabet, far_likelier: float
) -> TextColumns:
    """As `decode.best_plates`."""
    assert alphabet.grammar is not None
    automaton = compile_grammar(alphabet.grammar, alphabet.characters)
    read = greedy_columns(logits)
    allowed = _accepted(read.texts, automaton, logits.shape[1] - 1)
    doubtful = np.arange(len(logits))
    if top == 1:
        doubtful = np.flatnonzero(~allowed | ~(read.confidences > 0.5))
    if not len(doubtful):
        return read
    least = np.where(allowed | (top > 1), 0.0, read.confidences / far_likelier)
    found: list[Scored] = []
    p = softmax(logits[doubtful])
    for first in range(0, len(doubtful), SEARCHED_AT_ONCE):
        some = slice(first, first + SEARCHED_AT_ONCE)
        found += allowed_texts(p[some], automaton, top, least[doubtful[some]])
    greedy_stays = np.ones(len(logits), bool)
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
    """The texts of `images`, which come with their probabilities; `p` has those images only."""
    rows = np.repeat(np.arange(len(p)), [len(found) for found in texts])
    labels = Texts.of([labels for found in texts for labels, _ in found])
    confidences = np.array([confidence for found in texts for _, confidence in found], np.float64)
    return TextColumns(images[rows], confidences, labels, text_peaks(p[rows], labels))


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
