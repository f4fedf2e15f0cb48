"""Many texts as two arrays: labels, and how many each text has."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from lprnet.runtime.arrays import NDArray

T = TypeVar("T")
Indices = NDArray[np.intp]
Labels = tuple[int, ...]
"""One text, a class for each character."""


class Texts(NamedTuple):
    """N texts: the labels of all, one text behind the other, and how many each has."""

    labels: Indices
    lengths: Indices

    @classmethod
    def of(cls, labels: Sequence[Labels]) -> "Texts":
        """Those of a list."""
        lengths = np.fromiter(map(len, labels), np.intp, len(labels))
        return cls(np.fromiter(chain(*labels), np.intp), lengths)

    def table(self, padding: int) -> Indices:
        """`(L, N)`: the i-th labels of all texts in row i, `padding` where a text has ended."""
        present = self.present()
        table = np.full(present.shape[::-1], padding)
        table.T[present] = self.labels
        return table

    def present(self) -> NDArray[np.bool_]:
        """`(N, L)`: whether the text has an i-th label."""
        return np.arange(int(self.lengths.max(initial=0))) < self.lengths[:, None]

    def spelled(self, characters: Sequence[str]) -> list[str]:
        """Each text in the `characters` of its labels."""
        sizes = np.array([*map(len, characters)], np.intp)
        ends = np.concatenate([[0], sizes[self.labels].cumsum()])[[0, *self.lengths.cumsum()]]
        every = "".join([characters[label] for label in self.labels.tolist()])
        return [every[start:end] for start, end in pairwise(ends.tolist())]

    def lowest(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The least that `values` has for the labels of each text; 0 where it has none."""
        least = np.zeros(len(self.lengths))
        some = self.lengths > 0
        starts = self.lengths.cumsum() - self.lengths
        least[some] = np.minimum.reduceat(values, starts[some])
        return least

    def split(self, values: Sequence[T]) -> list[Sequence[T]]:
        """What `values` has for each label, as a sequence for each text."""
        ends = self.lengths.cumsum().tolist()
        return [values[start:end] for start, end in pairwise([0, *ends])]
