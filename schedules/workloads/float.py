"""Every kernel LPRNet needs, as a named shape with its TensorIR definition.

A `Workload` is a value: what a kernel computes and on which shape, nothing of how. `prim_func`
gives the unscheduled definition, the one that `match.py` recognises, that schedules transform, that
MetaSchedule tunes and that tests compare with NumPy.

All activations are HWC (NHWC at batch 1) float32; spatial padding is already in `data`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from tvm import te, tirx

from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from schedules.workloads.sparse_weights import ExpandWeight
from schedules.workloads.weights_only import WeightOnlyConv2d


@dataclass(frozen=True)
class Conv2d:
    """Stride-1 convolution, bias and optional ReLU.

    `data (height + kernel_height - 1, width + kernel_width - 1, channels)`,
    `weight (blocks, kernel_height, kernel_width, channels, block)`, `bias (blocks * block,)` to
    `out (height, width, blocks * block)`. `out_channels` of these are the layer's, the rest are
    zeros that fill up the last block.
    """

    family: ClassVar[str] = "conv2d"
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    out_channels: int
    block: int
    """Output channels packed together: the vectors of one register tile, in lanes."""
    relu: bool = True

    @property
    def blocks(self) -> int:
        return math.ceil(self.out_channels / self.block)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer itself; filling lanes are not counted."""
        return self.height * self.width * self.out_channels * self.window

    @property
    def window(self) -> int:
        """Multiply-accumulates of one output value: KH * KW * C."""
        return self.kernel_height * self.kernel_width * self.channels

    @property
    def name(self) -> str:
        return (
            f"conv{self.kernel_height}x{self.kernel_width}_{self.height}x{self.width}"
            f"_{self.channels}to{self.out_channels}"
        )

    def prim_func(self) -> tirx.PrimFunc:
        block, relu = self.block, self.relu
        rows, columns = self.height + self.kernel_height - 1, self.width + self.kernel_width - 1
        data = te.placeholder((rows, columns, self.channels), name="data")
        weight = te.placeholder(
            (self.blocks, self.kernel_height, self.kernel_width, self.channels, block),
            name="weight",
        )
        bias = te.placeholder((self.blocks * block,), name="bias")
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, self.channels), "c")
        acc = te.compute(
            (self.blocks, self.height, self.width, block),
            lambda o, h, w, v: te.sum(
                data[h + kh, w + kw, c] * weight[o, kh, kw, c, v], axis=[kh, kw, c]
            ),
            name="acc",
        )

        def epilogue(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
            biased = acc[o // block, h, w, o % block] + bias[o]
            return te.max(biased, tirx.const(0.0, "float32")) if relu else biased

        out = te.compute((self.height, self.width, self.blocks * block), epilogue, name="out")
        function = te.create_prim_func([data, weight, bias, out])
        return function.with_attr("out_channels", self.out_channels)


@dataclass(frozen=True)
class MaxPool:
    """3x3 max pool, stride `(1, stride)`: `data (height + 2, columns, channels)` to
    `out (height, width, channels)` with `columns = (width - 1) * stride + 3`.

    Two steps, so that a column's vertical maximum is shared by the windows that overlap it.
    """

    family: ClassVar[str] = "max_pool"
    height: int
    width: int
    stride: int
    channels: int
    dtype: str = "float32"
    """`float32` or `uint8`."""

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        kind = "" if self.dtype == "float32" else "q"
        return f"{kind}maxpool_{self.height}x{self.width}x{self.channels}_s{self.stride}"

    def prim_func(self) -> tirx.PrimFunc:
        stride, columns = self.stride, (self.width - 1) * self.stride + 3
        data = te.placeholder((self.height + 2, columns, self.channels), self.dtype, "data")
        i, j = te.reduce_axis((0, 3), "i"), te.reduce_axis((0, 3), "j")
        column_max = te.compute(
            (self.height, columns, self.channels),
            lambda h, x, c: te.max(data[h + i, x, c], axis=i),
            name="column_max",
        )
        out = te.compute(
            (self.height, self.width, self.channels),
            lambda h, w, c: te.max(column_max[h, w * stride + j, c], axis=j),
            name="out",
        )
        return te.create_prim_func([data, out])


@dataclass(frozen=True)
class AveragePool:
    """Average pool: `data (rows, columns, channels)` to `out (height, width, channels)`.

    `kernel` and `stride` are (vertical, horizontal); rows and columns no window covers are not read
    and not part of `data`.
    """

    family: ClassVar[str] = "average_pool"
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return (
            f"avgpool_{self.height}x{self.width}x{self.channels}_k{self.kernel[0]}x{self.kernel[1]}"
        )

    def prim_func(self) -> tirx.PrimFunc:
        rows, columns = (
            (extent - 1) * stride + kernel
            for extent, stride, kernel in zip(
                (self.height, self.width), self.stride, self.kernel, strict=True
            )
        )
        data = te.placeholder((rows, columns, self.channels), name="data")
        i, j = te.reduce_axis((0, self.kernel[0]), "i"), te.reduce_axis((0, self.kernel[1]), "j")
        sums = te.compute(
            (self.height, self.width, self.channels),
            lambda h, w, c: te.sum(
                data[h * self.stride[0] + i, w * self.stride[1] + j, c], axis=[i, j]
            ),
            name="sums",
        )
        scale = tirx.const(1.0 / (self.kernel[0] * self.kernel[1]), "float32")
        out = te.compute(sums.shape, lambda h, w, c: sums[h, w, c] * scale, name="out")
        return te.create_prim_func([data, out])


@dataclass(frozen=True)
class Normalise:
    """The image as the network wants it: uint8 `pixels (height, width, channels)` to
    `(pixels - offset) * scale` in float32 `out` of the same shape.
    """

    family: ClassVar[str] = "normalise"
    height: int
    width: int
    channels: int
    offset: float
    scale: float

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"normalise_{self.height}x{self.width}x{self.channels}"

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        pixels = te.placeholder(shape, dtype="uint8", name="pixels")
        out = te.compute(
            shape,
            lambda h, w, c: (
                (pixels[h, w, c].astype("float32") - tirx.const(self.offset, "float32"))
                * tirx.const(self.scale, "float32")
            ),
            name="out",
        )
        function = te.create_prim_func([pixels, out])
        return function.with_attrs({"offset": self.offset, "scale": self.scale})


@dataclass(frozen=True)
class MeanSquare:
    """`scale` times the sum of squares of `data (height, width, channels)`, `out (1, 1, 1)`.

    `scale` is one over the number of values that count; filling channels are zeros.
    """

    family: ClassVar[str] = "mean_square"
    height: int
    width: int
    channels: int
    scale: float

    partials: ClassVar[int] = 8
    """Partial sums kept apart, one AVX2 vector; divides `channels`."""
    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"meansquare_{self.height}x{self.width}x{self.channels}"

    def prim_func(self) -> tirx.PrimFunc:
        data = te.placeholder((self.height, self.width, self.channels), name="data")
        i, j = te.reduce_axis((0, self.height), "i"), te.reduce_axis((0, self.width), "j")
        k = te.reduce_axis((0, self.channels // self.partials), "k")
        lane = te.reduce_axis((0, self.partials), "lane")

        def square(c: tirx.Var) -> tirx.Expr:
            value = data[i, j, k * self.partials + c]
            return te.sum(value * value, [i, j, k])

        partial = te.compute((self.partials,), square, "partial")
        total = te.compute((1, 1, 1), lambda *_: te.sum(partial[lane], lane), "total")
        scale = tirx.const(self.scale, "float32")
        out = te.compute((1, 1, 1), lambda h, w, c: total[h, w, c] * scale, "out")
        return te.create_prim_func([data, out]).with_attr("scale", self.scale)


@dataclass(frozen=True)
class Divide:
    """`data (height, width, channels)` divided by the one value `divisor (1, 1, 1)`."""

    family: ClassVar[str] = "divide"
    height: int
    width: int
    channels: int

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"divide_{self.height}x{self.width}x{self.channels}"

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        data, divisor = (
            te.placeholder(shape, name="data"),
            te.placeholder((1, 1, 1), name="divisor"),
        )
        out = te.compute(shape, lambda h, w, c: data[h, w, c] / divisor[0, 0, 0], name="out")
        return te.create_prim_func([data, divisor, out])


Workload = (
    Conv2d
    | MaxPool
    | AveragePool
    | Normalise
    | MeanSquare
    | Divide
    | QuantizedConv2d
    | DequantizedAveragePool
    | GroupChannels
    | LookUp
    | DequantizeWeight
    | WeightOnlyConv2d
    | ExpandWeight
)
