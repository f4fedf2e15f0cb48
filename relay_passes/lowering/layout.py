"""Tensors as kernels see them: HWC activations with filled-up channels, packed weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """An HWC tensor `(height, width, sum of physical channels)`.

    Channels come in segments, one a producer, of which only the first `logical` carry the
    network's values; the rest fill up vectors.
    """

    tensor: relax.Expr
    height: int
    width: int
    segments: tuple[tuple[int, int], ...]
    """(logical, physical) channel counts; several only after a concatenation."""

    @property
    def logical(self) -> int:
        return sum(logical for logical, _ in self.segments)

    @property
    def physical(self) -> int:
        return sum(physical for _, physical in self.segments)

    def spread(self, weight: Array, channels: int) -> Array:
        """OIHW weights on the logical channels as weights on `channels` physical ones."""
        spread = np.zeros((weight.shape[0], channels, *weight.shape[2:]), weight.dtype)
        spread[:, self.positions()] = weight
        return spread

    def positions(self) -> npt.NDArray[np.intp]:
        """The physical index of every logical channel."""
        ends = np.cumsum([physical for _, physical in self.segments])
        return np.concatenate(
            [
                end - physical + np.arange(logical)
                for end, (logical, physical) in zip(ends, self.segments, strict=True)
            ]
        )


def is_integer(weight: Array) -> bool:
    return weight.dtype == np.int8


def pack_weight(weight: Array, block: int) -> Array:
    """OIHW weights as `(blocks, H, W, I, block)`, output channels filled up with zeros."""
    out_channels = weight.shape[0]
    filled = -(-out_channels // block) * block
    padded = np.pad(weight, ((0, filled - out_channels), (0, 0), (0, 0), (0, 0)))
    return np.ascontiguousarray(
        padded.reshape(filled // block, block, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)
    )
