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
from schedules.workloads.direct_conv import DirectConv, rows_apart
from schedules.workloads.pool_windows import read_extents
from schedules.workloads.signature import Signature, average_windows

MAX_REPEAT = 2
"""Of rows, in a map of every second row."""
KINDS = {"float32": "", "uint8": "q", BITS: "b"}
"""How the names of kernels on values of a type begin."""


@dataclass(frozen=True)
class Conv2d(DirectConv):
    """Convolution, bias and optional ReLU.

    `data` of `data_shape`,
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
        (rows, *_), packed, _, (height, width, _) = function.shapes
        _, kernel_height, kernel_width, channels, block = packed
        stride = rows_apart(rows, height, kernel_height)
        out_channels = int(function.attributes["out_channels"])
        for relu in (True, False):
            yield cls(
                *(height, width, channels, kernel_height, kernel_width),
                *(out_channels, block, relu),
                row_stride=stride,
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
                data[h * self.row_stride + kh, w + kw, c] * weight[o, kh, kw, c, v],
                axis=[kh, kw, c],
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
    """3x3 max pool, stride `(row_stride, stride)`: `data (rows, columns, channels)`, of which each
    row is read `row_repeat` times, to `out (height, width, channels)`. Of one column the stride is
    1, and so is that of rows of one row. `data` has no rows and columns that no window covers.
    Where rows are repeated, `height` is even and `row_stride` 1.

    Two steps, so that a column's vertical maximum is shared by the windows that overlap it.
    """

    family: ClassVar[str] = "max_pool"
    height: int
    width: int
    stride: int
    channels: int
    dtype: str = "float32"
    """`float32`, `uint8`, or `uint16` for the bits of bfloat16 that is not negative."""
    row_stride: int = 1
    row_repeat: int = 1

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        shape = f"{self.height}x{self.width}x{self.channels}"
        strides = f"{self.row_stride}x{self.stride}" if self.row_stride > 1 else f"{self.stride}"
        repeated = f"_r{self.row_repeat}" if self.row_repeat > 1 else ""
        return f"{KINDS[self.dtype]}maxpool_{shape}_s{strides}{repeated}"

    @property
    def read_shape(self) -> tuple[int, int, int]:
        """Of `data`."""
        strides = (self.row_stride, self.stride)
        rows, columns = read_extents((self.height, self.width), (3, 3), strides)
        return -(-rows // self.row_repeat), columns, self.channels

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["MaxPool"]:
        """Every workload of this class that a function of this signature may compute."""
        if not function.fits([3, 3]):
            return
        (rows, columns, _), (height, width, channels) = function.shapes
        stride, left = divmod(columns - 3, width - 1) if width > 1 else (1, columns - 3)
        if stride == 0 or left:
            return
        for repeat in range(1, MAX_REPEAT + 1):
            row_stride = rows_apart(rows * repeat, height, 3)
            found = cls(height, width, stride, channels, function.dtypes[0], row_stride, repeat)
            if found.read_shape[0] == rows:
                yield found

    def prim_func(self) -> tirx.PrimFunc:
        data = te.placeholder(self.read_shape, self.dtype, "data")
        i, j = te.reduce_axis((0, 3), "i"), te.reduce_axis((0, 3), "j")
        column_max = te.compute(
            (self.height, *self.read_shape[1:]),
            lambda h, x, c: te.max(data[self._row(h, i), x, c], axis=i),
            name="column_max",
        )
        out = te.compute(
            (self.height, self.width, self.channels),
            lambda h, w, c: te.max(column_max[h, w * self.stride + j, c], axis=j),
            name="out",
        )
        return te.create_prim_func([data, out])

    def _row(self, height: tirx.Var, tap: tirx.Var) -> tirx.Expr:
        """Of `data`, under a window's row `tap`."""
        row = height * self.row_stride + tap
        return row // self.row_repeat if self.row_repeat > 1 else row


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
