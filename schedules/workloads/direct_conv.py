"""What all direct convolutions have in common: their shape, their name, their padded channels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from schedules.workloads.signature import Signature

_Conv = TypeVar("_Conv", bound="RequantizedConv")


@dataclass(frozen=True)
class DirectConv:
    """The shape of a stride-1 convolution on HWC data whose spatial padding is already done.

    Output channels are packed in `blocks` of `block`; those beyond `out_channels` are zeros that
    pad the last block.
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
            self.height + self.kernel_height - 1,
            self.width + self.kernel_width - 1,
            self.channels,
        )

    @property
    def name(self) -> str:
        return (
            f"{self.prefix}{self.kernel_height}x{self.kernel_width}_{self.height}x{self.width}"
            f"_{self.channels}to{self.out_channels}"
        )


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
        (_, _, channels), packed, _, _, (height, width, _) = function.shapes
        _, kernel_height, kernel_width, _, block, _ = packed
        out_channels, qmax = (int(function.attributes[n]) for n in ("out_channels", "levels"))
        extents = (height, width, channels, kernel_height, kernel_width)
        yield cls(*extents, out_channels, block, qmax)
