"""The CTC paths that spell given texts, of many images at once: how probable they are together, and
where the most probable of them has each label.

Graves et al., "Connectionist Temporal Classification", ICML 2006, section 4.1. `p` is `(N, C, T)`,
as in `ctc.py`: the blank is the last class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lprnet.runtime.ctc import Floats
from lprnet.runtime.texts import Indices, Labels, Texts


class Lattice(NamedTuple):
    """The states of N texts of at most L labels: each label, and a blank before and behind it."""

    blank: Floats
    """`(T, N)`: the probability of the blank."""
    emitted: Floats
    """`(T, L, N)`: of each label."""
    follows: Floats
    """`(L, N)`: 1 where a label may follow the one before it with no blank between, for both
    differ."""


def label_probability(p: Floats, labels: Sequence[Labels]) -> Floats:
    """`(N,)`: for each image, the summed probability of all paths with its `labels`."""
    texts = Texts.of(labels)
    return spelled_probability(_lattice(p, texts), texts.lengths)


def spelled_probability(lattice: Lattice, lengths: Indices) -> Floats:
    """`(N,)`: of each text, of so many labels, the summed probability of all its paths, by the
    forward algorithm (section 4.1), all images and states of a position at once.
    """
    longest, images = lattice.follows.shape
    in_blank = np.zeros((longest + 1, images))
    in_label = np.zeros((longest + 1, images))
    in_blank[0] = 1
    for blank, emitted in zip(lattice.blank, lattice.emitted, strict=True):
        entering = in_label[1:] + in_blank[:-1]
        entering += lattice.follows * in_label[:-1]
        in_blank += in_label
        in_blank *= blank
        np.multiply(entering, emitted, out=in_label[1:])
    image = np.arange(images)
    total: Floats = in_blank[lengths, image] + in_label[lengths, image]
    return total


def text_peaks(p: Floats, texts: Texts) -> Floats:
    """For each label of the texts, one an image, its highest probability over the run that it
    covers.

    The runs are those of the most probable path with these labels (Viterbi), so for the labels of
    `best_path` these are its confidences. Labels that no path can spell get zeros.
    """
    lattice = _lattice(p, texts)
    longest, images = lattice.follows.shape
    # State 2i + 1 is label i and the even states are blanks. Two rows of zeros stand for the states
    # before the first.
    states = np.zeros((len(lattice.blank) + 1, 2 * longest + 3, images))
    states[0, 2] = 1
    skips = np.zeros(states.shape[1:], bool)
    skips[3::2] = lattice.follows
    for before, after, blank, emitted in zip(
        states, states[1:], lattice.blank, lattice.emitted, strict=False
    ):
        np.maximum(before[2:], before[1:-1], out=after[2:])
        after[3::2] = np.maximum(after[3::2], lattice.follows * before[1:-2:2]) * emitted
        after[2::2] *= blank
    # Back along the path of each image, from the more probable of its two last states.
    last = (2 * texts.lengths + 2) * images + np.arange(images)
    state = last - images * (states[-1].take(last) < states[-1].take(last - images))
    possible = states[-1].take(state) > 0
    path = np.empty((len(lattice.blank), 1, images), np.intp)
    for position in reversed(range(len(path))):
        path[position] = state
        before = states[position]
        here, previous = before.take(state), before.take(state - images)
        skipped = before.take(state - 2 * images) > np.maximum(here, previous)
        skipped &= skips.take(state)
        state = state - images * np.where(skipped, 2, previous > here)
    on_label = path // images == np.arange(longest)[:, None] * 2 + 3
    peaks = (lattice.emitted * on_label).max(axis=0, initial=0.0) * possible
    found: Floats = peaks.T[texts.present()]
    return found


def _lattice(p: Floats, texts: Texts) -> Lattice:
    table = texts.table(p.shape[1] - 1)
    return lattice_of(p[:, -1], p[np.arange(len(p)), table], table)


def lattice_of(blank: Floats, emitted: Floats, table: Indices) -> Lattice:
    """The lattice of the texts in `table` `(L, N)`, from the probabilities of the blank `(N, T)`
    and of the labels `(L, N, T)`.
    """
    follows = np.zeros(table.shape)
    follows[1:] = table[1:] != table[:-1]
    return Lattice(
        np.ascontiguousarray(blank.T), np.ascontiguousarray(emitted.transpose(2, 0, 1)), follows
    )
