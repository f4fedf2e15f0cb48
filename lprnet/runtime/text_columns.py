"""What is read of many images, as columns: no object for each plate.

Logits are `(N, C, T)`, the blank the last class, as in the probabilities `p` of `ctc.py`.
"""

from typing import NamedTuple

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.ctc import (
    TOGETHER,
    Floats,
    best_paths,
    exponentials,
    prefix_beam_search,
    softmax,
)
from lprnet.runtime.lattice import (
    label_probability,
    lattice_of,
    spelled_probability,
    text_peaks,
)
from lprnet.runtime.texts import Indices, Labels, Texts

Scored = list[tuple[Labels, float]]
"""Some texts of one image with their probabilities."""


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


def greedy_columns(logits: NDArray[np.float32]) -> TextColumns:
    """The text of each image's most probable path.

    Of the probabilities only those of the path and of its labels are needed, so the others are
    never divided nor kept.
    """
    paths = best_paths(logits)
    images, classes, positions = logits.shape
    table = paths.texts.table(classes - 1)
    blank, on_path = np.empty((2, images, positions))
    emitted = np.empty((*table.shape, positions))
    together = np.empty((min(TOGETHER, images), classes, positions))
    begins, column = np.arange(len(together)) * classes, np.arange(positions)
    for first in range(0, images, TOGETHER):
        some = slice(first, first + TOGETHER)
        powers = together[: images - first]
        sums = exponentials(logits[some], powers)[:, 0]
        np.divide(powers[:, -1], sums, out=blank[some])
        # Rows of `powers` are taken by their numbers: a third of the time of two indices.
        rows = powers.reshape(-1, positions)
        begin = begins[: len(powers)]
        np.divide(rows.take(table[:, some] + begin, axis=0), sums, out=emitted[:, some])
        on_paths = (paths.classes[some] + begin[:, None]) * positions + column
        np.divide(rows.take(on_paths), sums, out=on_path[some])
    lattice = lattice_of(blank, emitted, table)
    confidences = spelled_probability(lattice, paths.texts.lengths)
    return TextColumns(np.arange(images), confidences, paths.texts, paths.peaks(on_path))


def beam_columns(logits: NDArray[np.float32], width: int, top: int) -> TextColumns:
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
    return scored_columns(p, np.arange(len(p)), found)


def scored_columns(p: Floats, images: Indices, texts: list[Scored]) -> TextColumns:
    """The texts of `images`, which come with their probabilities; `p` has those images only."""
    rows = np.repeat(np.arange(len(p)), [len(found) for found in texts])
    labels = Texts.of([labels for found in texts for labels, _ in found])
    confidences = np.array([confidence for found in texts for _, confidence in found], np.float64)
    return TextColumns(images[rows], confidences, labels, text_peaks(p[rows], labels))
