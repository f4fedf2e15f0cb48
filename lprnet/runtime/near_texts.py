"""Images whose best allowed text is one of four near the most probable path: no search is needed.

The probabilities of all texts sum to 1. So where an allowed text has more than those that have not
been looked at have together, no other can have more.
"""

import numpy as np

from lprnet.runtime.ctc import Floats, texts_of
from lprnet.runtime.grammar import Automaton
from lprnet.runtime.grammar_search import accepted
from lprnet.runtime.lattice import lattice_of
from lprnet.runtime.text_columns import Scored
from lprnet.runtime.texts import Indices, Texts

CHANGED = 2
"""Positions that get their second class, each alone and all together. With two half of the
photographs that need a search are settled, with three 60 % for twice the time."""
ROUNDING = 1e-9
"""More than the sums of probabilities are wrong by."""


def near_texts(p: Floats, automaton: Automaton, least: Floats) -> list[Scored | None]:
    """For each image of `p` `(N, C, T)`, the blank last, as `allowed_texts` finds them for a `top`
    of 1, the most probable allowed text, or none as none can be as probable as its `least` `(N,)`;
    None where four texts do not show which.
    """
    images, classes, _ = p.shape
    paths = _near_paths(p)
    texts = texts_of(paths.reshape(-1, paths.shape[2]), classes - 1).texts
    table = texts.table(classes - 1)
    of_image = np.repeat(np.arange(images), paths.shape[1])
    probability = _probability(p, of_image, texts, table).reshape(images, -1)
    # Different texts may have the same number; what is then left out makes nothing look sure.
    flat = np.zeros(len(of_image), np.int64)
    for labels in table:
        flat *= classes
        flat += labels
    numbers = flat.reshape(images, -1)
    known = probability.copy()
    for text in range(1, known.shape[1]):
        known[(numbers[:, :text] == numbers[:, text, None]).any(axis=1), text] = 0
    others = 1 + ROUNDING - known.sum(axis=1)
    allowed = probability * accepted(texts, automaton, classes - 1).reshape(images, -1)
    column = allowed.argmax(axis=1)
    best = allowed[np.arange(images), column]
    split = texts.split(texts.labels.tolist())
    found: list[Scored | None] = [None] * images
    for image in np.flatnonzero(best > others).tolist():
        text = split[image * paths.shape[1] + int(column[image])]
        found[image] = [(tuple(text), float(best[image]))]
    for image in np.flatnonzero(np.maximum(best, others) < least).tolist():
        found[image] = []
    return found


def _near_paths(p: Floats) -> Indices:
    """`(N, 2 ** CHANGED, T)`: the most probable path, and with it those that have the second class
    where it is nearest to the first.
    """
    first = p.argmax(axis=1)[:, None]
    left = p.copy()
    np.put_along_axis(left, first, 0, axis=1)
    second = left.argmax(axis=1)[:, None]
    with np.errstate(invalid="ignore"):
        odds = np.take_along_axis(p, second, axis=1) / np.take_along_axis(p, first, axis=1)
    nearest = odds[:, 0].argsort(axis=1)[:, -CHANGED:]
    paths = np.repeat(first, 1 << CHANGED, axis=1)
    for number, position in enumerate(nearest.T):
        changed = np.flatnonzero(np.arange(1 << CHANGED) >> number & 1)
        image = np.arange(len(p))[:, None]
        paths[image, changed, position[:, None]] = second[image, 0, position[:, None]]
    return paths


def _probability(p: Floats, image: Indices, texts: Texts, table: Indices) -> Floats:
    """`(M,)`: of M texts, each of its `image`, the summed probability of all paths. As
    `spelled_probability` but added in the order of `best_allowed`: a text has the same bits from
    both.
    """
    blank, emitted, follows = lattice_of(p[image, -1], p[image, table], table)
    in_blank = np.zeros((len(table) + 1, len(image)))
    in_label = np.zeros(in_blank.shape)
    in_blank[0] = 1
    for of_blank, of_label in zip(blank, emitted, strict=True):
        entering = follows * in_label[:-1]
        entering += in_blank[:-1]
        entering += in_label[1:]
        in_blank += in_label
        in_blank *= of_blank
        np.multiply(entering, of_label, out=in_label[1:])
    row = np.arange(len(image))
    total: Floats = in_blank[texts.lengths, row] + in_label[texts.lengths, row]
    return total
