"""A float convolution that makes its int8 weights real in registers, one vector at a time.

Where a weight serves few tiles of pixels, that costs less than `DequantizeWeight`, which writes the
weights out four times as large before the convolution reads them again.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from tvm import te, tirx

MAX_TILES = 9
"""Tiles of pixels for each of which a weight may be made real again, at two instructions a vector.
With one tile (AVX-512) a call of the artifact is 1 % faster, with nine (AVX2) equally fast and
1.4 KB smaller; measured on Ice Lake."""


@dataclass(frozen=True)
class WeightOnlyConv2d:
    """Stride-1 convolution by int8 weights, scale and bias, without ReLU.

    `data (height + kernel_height - 1, width + kernel_width - 1, channels)`, `weight (elements,)`
    int8, `scale (blocks * block,)`, `bias (blocks * block,)` to `out (height, width,
    blocks * block)`:

        out = sum(data * float32(weight)) * scale + bias

    Weights are in the order (kernel_height, kernel_width, channels, out_channels) with nothing
    between, so vectors that reach beyond `out_channels` read the next weights, too. A scale and a
    bias of zero make such lanes zero. Behind the last weight are as many more as that needs.
    """

    family: ClassVar[str] = "scaled_conv2d"
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    out_channels: int
    block: int
    """Output channels computed together: the vectors of one register tile, in lanes."""

    @property
    def blocks(self) -> int:
        return math.ceil(self.out_channels / self.block)

    @property
    def window(self) -> int:
        """Multiply-accumulates of one output value: KH * KW * C."""
        return self.kernel_height * self.kernel_width * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer itself; filling lanes are not counted."""
        return self.height * self.width * self.out_channels * self.window

    @property
    def elements(self) -> int:
        """Weights that are stored."""
        return (self.window - 1) * self.out_channels + self.blocks * self.block

    @property
    def name(self) -> str:
        return (
            f"sconv{self.kernel_height}x{self.kernel_width}_{self.height}x{self.width}"
            f"_{self.channels}to{self.out_channels}"
        )

    def prim_func(self) -> tirx.PrimFunc:
        block, filled = self.block, self.blocks * self.block
        rows, columns = self.height + self.kernel_height - 1, self.width + self.kernel_width - 1
        data = te.placeholder((rows, columns, self.channels), name="data")
        weight = te.placeholder((self.elements,), dtype="int8", name="weight")
        scale, bias = (te.placeholder((filled,), name=name) for name in ("scale", "bias"))
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, self.channels), "c")

        def product(o: tirx.Var, h: tirx.Var, w: tirx.Var, v: tirx.Var) -> tirx.Expr:
            row = (kh * self.kernel_width + kw) * self.channels + c
            factor = weight[row * self.out_channels + o * block + v].astype("float32")
            return te.sum(data[h + kh, w + kw, c] * factor, axis=[kh, kw, c])

        acc = te.compute((self.blocks, self.height, self.width, block), product, name="acc")
        out = te.compute(
            (self.height, self.width, filled),
            lambda h, w, o: acc[o // block, h, w, o % block] * scale[o] + bias[o],
            name="out",
        )
        function = te.create_prim_func([data, weight, scale, bias, out])
        window = [self.kernel_height, self.kernel_width, self.out_channels, block]
        return function.with_attr("window", window)
