"""What is read of many images under a grammar, as the columns of `text_columns.py`."""

import numpy as np

from lprnet.runtime.allowed_texts import allowed_texts
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.arrays import NDArray
from lprnet.runtime.ctc import softmax
from lprnet.runtime.grammar import compile_grammar
from lprnet.runtime.grammar_search import accepted
from lprnet.runtime.near_texts import near_texts
from lprnet.runtime.text_columns import (
    Scored,
    TextColumns,
    greedy_columns,
    scored_columns,
)
from lprnet.runtime.texts import Texts

SEARCHED_AT_ONCE = 64
"""Images whose backward passes are in memory together: 4 MB, or 12 MB over all classes."""


def allowed_columns(
    logits: NDArray[np.float32], top: int, alphabet: Alphabet, far_likelier: float
) -> TextColumns:
    """As `decode.best_plates`."""
    assert alphabet.grammar is not None
    automaton = compile_grammar(alphabet.grammar, alphabet.characters)
    read = greedy_columns(logits)
    allowed = accepted(read.texts, automaton, logits.shape[1] - 1)
    doubtful = np.arange(len(logits))
    if top == 1:
        doubtful = np.flatnonzero(~allowed | ~(read.confidences > 0.5))
    if not len(doubtful):
        return read
    least = np.where(allowed | (top > 1), 0.0, read.confidences / far_likelier)[doubtful]
    p = softmax(logits[doubtful])
    near = near_texts(p, automaton, least) if top == 1 else [None] * len(p)
    found: list[Scored] = [text or [] for text in near]
    searched = np.array([row for row, text in enumerate(near) if text is None], np.intp)
    for first in range(0, len(searched), SEARCHED_AT_ONCE):
        some = searched[first : first + SEARCHED_AT_ONCE]
        texts = allowed_texts(p[some], automaton, top, least[some])
        for row, text in zip(some.tolist(), texts, strict=True):
            found[row] = text
    greedy_stays = np.ones(len(logits), bool)
    for row, image in enumerate(doubtful.tolist()):
        best = found[row][0][1] if found[row] else 0.0
        if allowed[image]:
            greedy_stays[image] = not found[row]
        else:
            greedy_stays[image] = not read.confidences[image] <= far_likelier * best
        if greedy_stays[image]:
            found[row] = found[row][: top - 1]
    return _joined(read, greedy_stays, scored_columns(p, doubtful, found))


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
