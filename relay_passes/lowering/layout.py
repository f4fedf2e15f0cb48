"""The layouts of kernels: HWC tensors with padded channels, and packed weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PackedTensor:
    """An HWC tensor `(height, width, sum of physical channels)`.

    Channels come in segments, one for each producer. The first `logical` channels of a segment
    carry the network's values; the others are zeros that pad it to whole vectors.
    """

    tensor: relax.Expr
    height: int
    width: int
    segments: tuple[tuple[int, int], ...]
    """(logical, physical) channel counts; several only after a concatenation."""
    rows: int = 1
    """Of an image, those whose pixels are channels of one (`stacked_rows.py`)."""

    @property
    def logical(self) -> int:
        return sum(logical for logical, _ in self.segments)

    @property
    def physical(self) -> int:
        return sum(physical for _, physical in self.segments)

    def scatter_channels(self, weight: Array, channels: int) -> Array:
        """OIHW weights of the logical input channels as weights of `channels` physical ones."""
        scattered = np.zeros((weight.shape[0], channels, *weight.shape[2:]), weight.dtype)
        scattered[:, self.positions()] = weight
        return scattered

    def positions(self) -> npt.NDArray[np.intp]:
        """The physical index of every logical channel."""
        ends = np.cumsum([physical for _, physical in self.segments])
        return np.concatenate(
            [
                end - physical + np.arange(logical)
                for end, (logical, physical) in zip(ends, self.segments, strict=True)
            ]
        )


def conv_outputs(source: PackedTensor, weight: Array, row_stride: int) -> tuple[int, int]:
    """Height and width of what OIHW `weight` makes of `source`, which is padded already."""
    _, _, kernel_height, kernel_width = weight.shape
    height = (source.height - kernel_height) // row_stride + 1
    return height, source.width - kernel_width + 1


def is_integer(weight: Array) -> bool:
    return weight.dtype == np.int8


def is_bfloat16(weight: Array) -> bool:
    return str(weight.dtype) == "bfloat16"


def pack_weight(weight: Array, block: int) -> Array:
    """OIHW weights as `(blocks, H, W, I, block)`, output channels padded with zeros."""
    out_channels = weight.shape[0]
    channels = -(-out_channels // block) * block
    padded = np.pad(weight, ((0, channels - out_channels), (0, 0), (0, 0), (0, 0)))
    return np.ascontiguousarray(
        padded.reshape(channels // block, block, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)
    )
