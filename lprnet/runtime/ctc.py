"""Connectionist temporal classification on probabilities, in NumPy.

Graves et al., "Connectionist Temporal Classification", ICML 2006. `P` is `(N, C, T)` float64: over
`C` classes, the last of them the blank, at each of `T` positions. A *path* picks one class per
position; its *labels* are what is left after merging repeats, then dropping blanks. Probabilities
are multiplied without logarithms: over LPRNet's 18 positions float64 cannot underflow for any
sequence whose probability is worth printing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.late_import import opencv
from lprnet.runtime.texts import Labels, Texts

Floats = NDArray[np.float64]
FAR_FROM_OVERFLOW = 300.0
"""The exponentials of logits up to here, and their sums, are normal float64 numbers."""


def softmax(logits: NDArray[np.float32]) -> Floats:
    """`(N, C, T)` float32 logits to `P`, each probability right to 1e-15 of it.

    On AVX2 OpenCV's exponential takes a fifth of the time of NumPy's.
    """
    p = logits.astype(np.float64)
    if not p.size:
        return p
    if not (logits.max() < FAR_FROM_OVERFLOW and logits.min() > -FAR_FROM_OVERFLOW):
        p -= np.take_along_axis(p, logits.argmax(axis=1)[:, None], axis=1)
    flat = p.reshape(len(p), -1)
    opencv().exp(flat, flat)
    # A product with ones sums the classes in a third of the time of sum(axis=1).
    p /= np.ones((1, p.shape[1])) @ p
    return p


def best_path(p: Floats) -> list[tuple[Labels, list[float]]]:
    """Greedy decoding (section 3.2): per image the labels of its most probable path.

    With each label goes its highest probability over the run of positions that it covers.
    """
    texts, peaks = best_texts(p)
    labels = map(tuple, texts.split(texts.labels))
    return list(zip(labels, texts.split(peaks), strict=True))


def best_texts(p: Floats) -> tuple[Texts, Floats]:
    """What `best_path` finds, as arrays: the texts, and `(labels,)` the probabilities."""
    images, classes, positions = p.shape
    path = p.argmax(axis=1)
    peak = np.take_along_axis(p, path[:, None], axis=1)
    starts = np.ones((images, positions), bool)
    starts[:, 1:] = path[:, 1:] != path[:, :-1]
    runs = np.flatnonzero(starts)
    label, peaks = path.ravel()[runs], np.maximum.reduceat(peak.ravel(), runs)
    kept = label != classes - 1
    lengths = np.bincount(runs[kept] // positions, minlength=images)
    return Texts(label[kept], lengths), peaks[kept]


def label_probability(p: Floats, labels: Sequence[Labels]) -> Floats:
    """`(N,)`: for each image, the summed probability of all paths with its `labels`."""
    return text_probability(p, Texts.of(labels))


def text_probability(p: Floats, texts: Texts) -> Floats:
    """As `label_probability`, by the forward algorithm (section 4.1), all images and states of a
    position at once.
    """
    lattice = _lattice(p, texts)
    images, longest = p.shape[0], len(lattice.emitted[0])
    in_blank = np.zeros((longest + 1, images))
    in_label = np.zeros((longest + 1, images))
    in_blank[0] = 1
    for blank, emitted in zip(lattice.blank, lattice.emitted, strict=True):
        entering = in_label[1:] + in_blank[:-1]
        entering += lattice.follows * in_label[:-1]
        in_blank += in_label
        in_blank *= blank
        np.multiply(entering, emitted, out=in_label[1:])
    last, image = texts.lengths, np.arange(images)
    total: Floats = in_blank[last, image] + in_label[last, image]
    return total


def label_peaks(p: Floats, labels: Sequence[Labels]) -> list[list[float]]:
    """For each image and label, its highest probability over the run that it covers.

    The runs are those of the most probable path with these labels (Viterbi), so for the labels of
    `best_path` these are its confidences. Labels that no path can spell get zeros.
    """
    lattice = _lattice(p, Texts.of(labels))
    longest, images = lattice.emitted.shape[1:]
    # State 2i + 1 is label i and the even states are blanks. Two rows of zeros stand for the states
    # before the first.
    states = np.zeros((len(lattice.blank) + 1, 2 * longest + 3, images))
    states[0, 2] = 1
    for before, after, blank, emitted in zip(
        states, states[1:], lattice.blank, lattice.emitted, strict=False
    ):
        np.maximum(before[2:], before[1:-1], out=after[2:])
        after[3::2] = np.maximum(after[3::2], lattice.follows * before[1:-2:2]) * emitted
        after[2::2] *= blank
    return [_peaks(states[:, :, image], p[image], label) for image, label in enumerate(labels)]


def _peaks(states: Floats, p: Floats, labels: Labels) -> list[float]:
    """The backward walk of `label_peaks` for one image, `states` `(T + 1, 2L + 3)`."""
    rows, emitted = states.tolist(), [row.tolist() for row in p[list(labels)]]
    found = [0.0] * len(labels)
    end = 2 * len(labels) + 2
    state = end if rows[-1][end] >= rows[-1][end - 1] else end - 1
    if rows[-1][state] == 0:
        return found
    for position in reversed(range(len(rows) - 1)):
        before = rows[position]
        if state % 2:
            label = (state - 3) // 2
            found[label] = max(found[label], emitted[label][position])
            follows = label > 0 and labels[label] != labels[label - 1]
            if follows and before[state - 2] > max(before[state], before[state - 1]):
                state -= 1
        if before[state - 1] > before[state]:
            state -= 1
    return found


def prefix_beam_search(p: Floats, width: int) -> list[Labels]:
    """The most probable labels of one image, `p` `(C, T)`, at most `width`, best first.

    Hannun et al., arXiv:1408.2873, algorithm 1, without a language model: each position extends
    every kept prefix by every class, joins paths that spell the same prefix, and keeps `width`.
    """
    blank = p.shape[0] - 1
    prefixes: list[Labels] = [()]
    # Per prefix, the probability of its paths that end in a blank and in its last label.
    in_blank, in_label = np.ones(1), np.zeros(1)
    for column in p.T:
        rows = np.arange(len(prefixes))
        last = np.array([prefix[-1] if prefix else blank for prefix in prefixes])
        total = in_blank + in_label
        extended = total[:, None] * column
        extended[rows, last] = in_blank * column[last]  # a repeat needs a blank between
        extended[:, blank] = 0
        in_blank, in_label = total * column[blank], in_label * column[last]
        index = {prefix: row for row, prefix in enumerate(prefixes)}
        for row, prefix in enumerate(prefixes):
            parent = index.get(prefix[:-1]) if prefix else None
            if parent is not None:
                in_label[row] += extended[parent, prefix[-1]]
                extended[parent, prefix[-1]] = 0
        scores = np.concatenate([in_blank + in_label, extended.ravel()])
        kept = np.argsort(-scores, kind="stable")[:width]
        kept = kept[scores[kept] > 0]
        new = kept >= len(prefixes)
        parents, labels = np.divmod(kept - len(prefixes), len(column))
        parents = np.where(new, parents, kept)
        in_label = np.where(new, scores[kept], in_label[parents])
        in_blank = np.where(new, 0, in_blank[parents])
        prefixes = [
            (*prefixes[parent], label) if extends else prefixes[parent]
            for parent, label, extends in zip(
                parents.tolist(), labels.tolist(), new.tolist(), strict=True
            )
        ]
    return prefixes


class _Lattice(NamedTuple):
    """The states of N texts of at most L labels: each label, and a blank before and behind it."""

    blank: Floats
    """`(T, N)`: the probability of the blank."""
    emitted: Floats
    """`(T, L, N)`: of each label."""
    follows: Floats
    """`(L, N)`: 1 where a label may follow the one before it with no blank between, for both
    differ."""


def _lattice(p: Floats, texts: Texts) -> _Lattice:
    table = texts.table(p.shape[1] - 1)
    follows = np.zeros(table.shape)
    follows[1:] = table[1:] != table[:-1]
    emitted = p[np.arange(len(p)), table].transpose(2, 0, 1)
    return _Lattice(p[:, -1].T, np.ascontiguousarray(emitted), follows)
