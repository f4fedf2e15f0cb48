"""Many texts as two arrays: labels, and how many each text has."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

    def split(self, values: NDArray[Any]) -> list[list[Any]]:
        """What `values` has for each label, as a list for each text."""
        ends = self.lengths.cumsum().tolist()
        every = values.tolist()
        return [every[start:end] for start, end in zip([0, *ends], ends, strict=False)]
