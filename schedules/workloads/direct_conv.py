"""What all direct convolutions have in common: their shape, their name, their padded channels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from schedules.workloads.signature import Signature

_Conv = TypeVar("_Conv", bound="RequantizedConv")


@dataclass(frozen=True)
class DirectConv:
    """The shape of a convolution on HWC data whose spatial padding is already done.

    `data` has `(height - 1) * row_stride + kernel_height` rows and `width + kernel_width - 1`
    columns. Output channels are packed in `blocks` of `block`; those beyond `out_channels` are
    zeros that pad the last block.
    """

    prefix: ClassVar[str]
    """How the names of its kernels begin."""
    height: int
    """Of the output, as `width`."""
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    out_channels: int
    block: int
    """Output channels packed together: the vectors of one register tile, in 32-bit lanes."""
    row_stride: int = field(default=1, kw_only=True)
    """Rows of the input from one row of the output to the next; of one row it is 1."""

    @property
    def blocks(self) -> int:
        return math.ceil(self.out_channels / self.block)

    @property
    def padded_channels(self) -> int:
        """Output channels, with padding."""
        return self.blocks * self.block

    @property
    def window(self) -> int:
        """Multiply-accumulates of one output value: KH * KW * C."""
        return self.kernel_height * self.kernel_width * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer itself; padding lanes are not counted."""
        return self.height * self.width * self.out_channels * self.window

    @property
    def data_shape(self) -> tuple[int, int, int]:
        """(rows, columns, channels) of the input."""
        return (
            (self.height - 1) * self.row_stride + self.kernel_height,
            self.width + self.kernel_width - 1,
            self.channels,
        )

    @property
    def name(self) -> str:
        stride = f"_s{self.row_stride}" if self.row_stride > 1 else ""
        return (
            f"{self.prefix}{self.kernel_height}x{self.kernel_width}_{self.height}x{self.width}"
            f"_{self.channels}to{self.out_channels}{stride}"
        )


def rows_apart(rows: int, height: int, kernel_height: int) -> int:
    """The row stride of windows that make `height` rows of `rows`, if there is one."""
    return max(1, (rows - kernel_height) // (height - 1)) if height > 1 else 1


@dataclass(frozen=True)
class RequantizedConv(DirectConv):
    """A convolution in integers with bias and requantization, uint8 to uint8; its weights are
    `(blocks, kernel_height, kernel_width, channels / 4, block, 4)`.
    """

    ranks: ClassVar[list[int]]
    """Of the operands and of the result."""
    qmax: int
    """The largest activation, 127 or 255."""

    @classmethod
    def candidates(cls: type[_Conv], function: Signature) -> Iterator[_Conv]:
        """Every workload of this class that a function of this signature may compute."""
        if not function.fits(cls.ranks, "out_channels", "levels"):
            return
        (rows, _, channels), packed, _, _, (height, width, _) = function.shapes
        _, kernel_height, kernel_width, _, block, _ = packed
        out_channels, qmax = (int(function.attributes[n]) for n in ("out_channels", "levels"))
        extents = (height, width, channels, kernel_height, kernel_width)
        stride = rows_apart(rows, height, kernel_height)
        yield cls(*extents, out_channels, block, qmax, row_stride=stride)
