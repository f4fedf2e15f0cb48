"""Connectionist temporal classification on probabilities, in NumPy.

Graves et al., "Connectionist Temporal Classification", ICML 2006. `P` is `(N, C, T)` float64: over
`C` classes, the last of them the blank, at each of `T` positions. A *path* picks one class per
position; its *labels* are what is left after merging repeats, then dropping blanks. Probabilities
are multiplied without logarithms: over LPRNet's 18 positions float64 cannot underflow for any
sequence whose probability is worth printing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = tuple[int, ...]


def softmax(logits: NDArray[np.float32]) -> Floats:
    """`(N, C, T)` float32 logits to `P`."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def best_path(p: Floats) -> list[tuple[Labels, list[float]]]:
    """Greedy decoding (section 3.2): per image the labels of its most probable path.

    With each label goes its highest probability over the run of positions that it covers.
    """
    images, classes, positions = p.shape
    path, peak = p.argmax(axis=1), p.max(axis=1)
    starts = np.ones((images, positions), bool)
    starts[:, 1:] = path[:, 1:] != path[:, :-1]
    runs = np.flatnonzero(starts)
    label, peaks = path.ravel()[runs], np.maximum.reduceat(peak.ravel(), runs)
    kept = label != classes - 1
    ends = np.bincount(runs[kept] // positions, minlength=images).cumsum().tolist()
    labels, confidences = label[kept].tolist(), peaks[kept].tolist()
    return [
        (tuple(labels[start:end]), confidences[start:end])
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def label_probability(p: Floats, labels: Sequence[Labels]) -> Floats:
    """`(N,)`: for each image, the summed probability of all paths with its `labels`.

    The forward algorithm (section 4.1), all images and states of a position at once.
    """
    emitted, skips = _lattice(p, labels)
    count, width, positions = emitted.shape
    moves = np.eye(width) + np.eye(width, k=-1) + skips[:, :, None] * np.eye(width, k=-2)
    forward = np.zeros((count, width, 1))
    forward[:, :2, 0] = emitted[:, :2, 0]
    for position in range(1, positions):
        forward = moves @ forward
        forward *= emitted[:, :, position, None]
    image, end = np.arange(count), np.array([2 * len(label) for label in labels], int)
    total: Floats = forward[image, end, 0] + (end > 0) * forward[image, end - 1, 0]
    return total


def label_peaks(p: Floats, labels: Sequence[Labels]) -> list[list[float]]:
    """For each image and label, its highest probability over the run that it covers.

    The runs are those of the most probable path with these labels (Viterbi), so for the labels of
    `best_path` these are its confidences. Labels that no path can spell get zeros.
    """
    emitted, skips = _lattice(p, labels)
    images, width, positions = emitted.shape
    # Two columns of zeros on the left stand for the states before the first.
    best = np.zeros((images, width + 2))
    best[:, 2:4] = emitted[:, :2, 0]
    steps = np.zeros((positions, images, width), np.intp)
    for position in range(1, positions):
        sources = np.stack([best[:, 2:], best[:, 1:-1], skips * best[:, :-2]])
        steps[position] = sources.argmax(axis=0)
        best[:, 2:] = sources.max(axis=0) * emitted[:, :, position]
    peaks = []
    for image, label in enumerate(labels):
        last = 2 * len(label)
        state = last if best[image, last + 2] >= best[image, last + 1] else last - 1
        found = [0.0] * (width // 2 + 1)
        reachable = best[image, state + 2] > 0
        for position in reversed(range(positions)):
            if state % 2:
                found[state // 2] = max(found[state // 2], emitted[image, state, position])
            state -= int(steps[position, image, state])
        peaks.append([float(peak) * reachable for peak in found[: len(label)]])
    return peaks


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


def _lattice(p: Floats, labels: Sequence[Labels]) -> tuple[Floats, NDArray[np.bool_]]:
    """What each state emits, `(N, 2L + 1, T)`, and skips, `(N, 2L + 1)`; `L` is the longest label.

    State `2i + 1` is label `i` and the even states are blanks. A state may be entered from itself,
    from the one before, and, where `skips` says so, from the one before that: a label may follow
    another label directly, unless both are the same.
    """
    longest = max((len(label) for label in labels), default=0)
    states = np.full((len(labels), 2 * longest + 1), p.shape[1] - 1, np.intp)
    for row, label in zip(states, labels, strict=True):
        row[1 : 2 * len(label) : 2] = label
    skips = np.zeros(states.shape, bool)
    skips[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    return p[np.arange(len(states))[:, None], states], skips
