"""Connectionist temporal classification on probabilities, in NumPy.

Graves et al., "Connectionist Temporal Classification", ICML 2006. `P` is `(N, C, T)` float64: over
`C` classes, the last of them the blank, at each of `T` positions. A *path* picks one class per
position; its *labels* are what is left after merging repeats, then dropping blanks. Probabilities
are multiplied without logarithms: over LPRNet's 18 positions float64 cannot underflow for any
sequence whose probability is worth printing.
"""

from typing import Any, NamedTuple

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.late_import import opencv
from lprnet.runtime.texts import Indices, Labels, Texts

Floats = NDArray[np.float64]
FAR_FROM_OVERFLOW = 300.0
"""The exponentials of logits up to here, and their sums, are normal float64 numbers."""
TOGETHER = 32
"""Images whose exponentials are computed together: 300 KB of LPRNet, which a core's cache holds."""


def softmax(logits: NDArray[np.float32]) -> Floats:
    """`(N, C, T)` float32 logits to `P`, each probability right to 1e-15 of it."""
    p = np.empty(logits.shape)
    for first in range(0, len(logits), TOGETHER):
        powers = p[first : first + TOGETHER]
        powers /= exponentials(logits[first : first + TOGETHER], powers)
    return p


def exponentials(logits: NDArray[np.float32], powers: Floats) -> Floats:
    """Of `(N, C, T)` float32 logits, which should be few enough for the cache, into `powers`, and
    returned their sums over the classes, `(N, 1, T)`. The quotients are `P`.

    On AVX2 OpenCV's exponential takes a fifth of the time of NumPy's.
    """
    powers[:] = logits
    if not (logits.max() < FAR_FROM_OVERFLOW and logits.min() > -FAR_FROM_OVERFLOW):
        powers -= np.take_along_axis(powers, logits.argmax(axis=1)[:, None], axis=1)
    flat = powers.reshape(len(powers), -1)
    opencv().exp(flat, flat)
    # A product with ones sums the classes in a third of the time of sum(axis=1).
    sums: Floats = np.ones((1, powers.shape[1])) @ powers
    return sums


def best_path(p: Floats) -> list[tuple[Labels, list[float]]]:
    """Greedy decoding (section 3.2): per image the labels of its most probable path.

    With each label goes its highest probability over the run of positions that it covers.
    """
    paths = best_paths(p)
    peaks = paths.peaks(np.take_along_axis(p, paths.classes[:, None], axis=1))
    labels = map(tuple, paths.texts.split(paths.texts.labels.tolist()))
    of_labels = map(list, paths.texts.split(peaks.tolist()))
    return list(zip(labels, of_labels, strict=True))


class Paths(NamedTuple):
    """A path for each of N images."""

    classes: Indices
    """`(N, T)`"""
    texts: Texts
    starts: Indices
    """Where in the flat `classes` each run of one class begins."""
    kept: NDArray[np.bool_]
    """For each run, whether it is a label."""

    def peaks(self, values: Floats) -> Floats:
        """The highest of `values`, N times T, over the run of each label."""
        peaks: Floats = np.maximum.reduceat(values.ravel(), self.starts)[self.kept]
        return peaks


def best_paths(scores: NDArray[np.floating[Any]]) -> Paths:
    """The most probable path of each image; `scores` `(N, C, T)` are `P` or the logits."""
    return texts_of(scores.argmax(axis=1), scores.shape[1] - 1)


def texts_of(paths: Indices, blank: int) -> Paths:
    """What so many paths `(N, T)` spell."""
    images, positions = paths.shape
    starts = np.ones((images, positions), bool)
    starts[:, 1:] = paths[:, 1:] != paths[:, :-1]
    runs = np.flatnonzero(starts)
    label = paths.ravel()[runs]
    kept = label != blank
    lengths = np.bincount(runs[kept] // positions, minlength=images)
    return Paths(paths, Texts(label[kept], lengths), runs, kept)


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
