"""The float32 kernels of the network: a shape, a name and a TensorIR definition each.

A `Workload` is a value: what a kernel computes and on which shape, but not how. `prim_func` gives
the unscheduled definition, which `match.py` recognises, schedules transform, MetaSchedule tunes and
tests compare with NumPy.

All activations are HWC (NHWC at batch 1) float32; spatial padding is already in `data`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tvm import te, tirx

from schedules.workloads.bfloat16 import BITS, widened
from schedules.workloads.direct_conv import DirectConv
from schedules.workloads.pool_windows import read_extents
from schedules.workloads.signature import Signature, average_windows

KINDS = {"float32": "", "uint8": "q", BITS: "b"}
"""How the names of kernels on values of a type begin."""


@dataclass(frozen=True)
class Conv2d(DirectConv):
    """Stride-1 convolution, bias and optional ReLU.

    `data (height + kernel_height - 1, width + kernel_width - 1, channels)`,
    `weight (blocks, kernel_height, kernel_width, channels, block)`, `bias (blocks * block,)` to
    `out (height, width, blocks * block)`.
    """

    family: ClassVar[str] = "conv2d"
    prefix: ClassVar[str] = "conv"
    relu: bool = True

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["Conv2d"]:
        """Every workload of this class that a function of this signature may compute."""
        if not function.fits([3, 5, 1, 3], "out_channels"):
            return
        _, (_, kernel_height, kernel_width, channels, block), _, (height, width, _) = (
            function.shapes
        )
        out_channels = int(function.attributes["out_channels"])
        for relu in (True, False):
            yield cls(
                *(height, width, channels, kernel_height, kernel_width),
                *(out_channels, block, relu),
            )

    def prim_func(self) -> tirx.PrimFunc:
        block, relu = self.block, self.relu
        data = te.placeholder(self.data_shape, name="data")
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
    `out (height, width, channels)` with `columns = (width - 1) * stride + 3`. Of one column the
    stride is 1.

    Two steps, so that a column's vertical maximum is shared by the windows that overlap it.
    """

    family: ClassVar[str] = "max_pool"
    height: int
    width: int
    stride: int
    channels: int
    dtype: str = "float32"
    """`float32`, `uint8`, or `uint16` for the bits of bfloat16 that is not negative."""

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return (
            f"{KINDS[self.dtype]}maxpool_{self.height}x{self.width}x{self.channels}_s{self.stride}"
        )

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["MaxPool"]:
        """Every workload of this class that a function of this signature may compute."""
        if not function.fits([3, 3]):
            return
        (rows, columns, _), (height, width, channels) = function.shapes
        stride, left = divmod(columns - 3, width - 1) if width > 1 else (1, columns - 3)
        if rows == height + 2 and left == 0:
            yield cls(height, width, stride, channels, function.dtypes[0])

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
    """Average pool: `data (rows, columns, channels)` to `out (height, width, channels)` float32.

    `kernel` and `stride` are (vertical, horizontal). `data` has no rows and columns that no window
    covers.
    """

    family: ClassVar[str] = "average_pool"
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dtype: str = "float32"
    """Of `data`: `float32`, or `uint16` for the bits of bfloat16."""

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        kind, kernel = KINDS[self.dtype], "x".join(map(str, self.kernel))
        return f"{kind}avgpool_{self.height}x{self.width}x{self.channels}_k{kernel}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["AveragePool"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3]) and function.dtypes[0] in ("float32", BITS):
            data, out = function.shapes
            height, width, channels = out
            for kernel, stride in average_windows(data, out):
                yield cls(height, width, channels, kernel, stride, function.dtypes[0])

    def prim_func(self) -> tirx.PrimFunc:
        extents = read_extents((self.height, self.width), self.kernel, self.stride)
        data = te.placeholder((*extents, self.channels), self.dtype, "data")
        i, j = te.reduce_axis((0, self.kernel[0]), "i"), te.reduce_axis((0, self.kernel[1]), "j")

        def real(value: tirx.Expr) -> tirx.Expr:
            return widened(value) if self.dtype == BITS else value

        sums = te.compute(
            (self.height, self.width, self.channels),
            lambda h, w, c: te.sum(
                real(data[h * self.stride[0] + i, w * self.stride[1] + j, c]), axis=[i, j]
            ),
            name="sums",
        )
        scale = tirx.const(1.0 / (self.kernel[0] * self.kernel[1]), "float32")
        out = te.compute(sums.shape, lambda h, w, c: sums[h, w, c] * scale, name="out")
        return te.create_prim_func([data, out])
