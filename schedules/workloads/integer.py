"""The kernels of the quantized network: a shape, a name and a TensorIR definition each.

Activations are uint8 HWC with zero point 0, so that padding with zeros is exact; weights are int8;
every sum is an exact int32. Real values are `scale * q`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import tvm_ffi
from tvm import s_tir, te, tirx

from schedules.dot4_intrinsics import GROUP
from schedules.workloads.direct_conv import RequantizedConv
from schedules.workloads.pool_windows import byte_window_sums
from schedules.workloads.requantization import requantized
from schedules.workloads.signature import Signature, average_windows

_INT16_RESULTS, _EXACT_WINOGRAD = "int16_results", "exact_winograd"


@dataclass(frozen=True)
class QuantizedConv2d(RequantizedConv):
    """Integer convolution, bias and requantization, ReLU included.

    `data` of `data_shape` uint8,
    `weight (blocks, kernel_height, kernel_width, channels / 4, block, 4)` int8,
    `bias (blocks * block,)` int32, `multiplier (blocks * block,)` float32 to
    `out (height, width, blocks * block)` uint8:

        out = clamp(rint(float32(sum + bias) * multiplier), 0, qmax)

    The product is exact; `rint` rounds to nearest, ties to even. Each sum starts at its bias.
    `channels` is a multiple of 4.
    """

    int16_results: bool = False
    """Whether each `rint` is known to fit int16, as quicker schedules need it
    (`relay_passes/lowering/check_int16_results.py`).
    """
    exact_winograd: bool = False
    """Whether F(2, 3) is known to need bytes only, so that it is exact in them
    (`relay_passes/lowering/check_exact_winograd.py`).
    """

    family: ClassVar[str] = "quantized_conv2d"
    prefix: ClassVar[str] = "qconv"
    ranks: ClassVar[list[int]] = [3, 6, 1, 1, 3]

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["QuantizedConv2d"]:
        """Every workload of this class that a function of this signature may compute."""
        known = {
            "int16_results": _INT16_RESULTS in function.attributes,
            "exact_winograd": _EXACT_WINOGRAD in function.attributes,
        }
        for workload in super().candidates(function):
            yield replace(workload, **known)

    def prim_func(self) -> tirx.PrimFunc:
        block, padded = self.block, self.padded_channels
        data = te.placeholder(self.data_shape, dtype="uint8", name="data")
        packed = (
            *(self.blocks, self.kernel_height, self.kernel_width),
            *(self.channels // GROUP, block, GROUP),
        )
        weight = te.placeholder(packed, dtype="int8", name="weight")
        bias = te.placeholder((padded,), dtype="int32", name="bias")
        multiplier = te.placeholder((padded,), name="multiplier")
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, self.channels // GROUP), "c")
        k = te.reduce_axis((0, GROUP), "k")
        acc = te.compute(
            (self.blocks, self.height, self.width, block),
            lambda o, h, w, v: te.sum(
                data[h * self.row_stride + kh, w + kw, c * GROUP + k].astype("int32")
                * weight[o, kh, kw, c, v, k].astype("int32"),
                axis=[kh, kw, c, k],
            ),
            name="acc",
        )

        def requantize(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
            return requantized(acc[o // block, h, w, o % block], multiplier[o], self.qmax)

        out = te.compute((self.height, self.width, padded), requantize, name="out")
        function = te.create_prim_func([data, weight, bias, multiplier, out])
        function = function.with_attrs({"out_channels": self.out_channels, "levels": self.qmax})
        if self.int16_results:
            function = function.with_attr(_INT16_RESULTS, True)
        if self.exact_winograd:
            function = function.with_attr(_EXACT_WINOGRAD, True)
        return _start_at_bias(function)


@dataclass(frozen=True)
class DequantizedAveragePool:
    """Average pool of uint8 `data (rows, columns, channels)` to float32 `out (height, width,
    channels)`.

    The window is summed exactly in int32, then multiplied once by `scale` over its size.
    """

    family: ClassVar[str] = "dequantized_average_pool"
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    scale: float

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        kernel = "x".join(map(str, self.kernel))
        return f"qavgpool_{self.height}x{self.width}x{self.channels}_k{kernel}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["DequantizedAveragePool"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3], "scale"):
            scale = float(function.attributes["scale"])
            data, out = function.shapes
            height, width, channels = out
            for kernel, stride in average_windows(data, out):
                yield cls(height, width, channels, kernel, stride, scale)

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        data, sums = byte_window_sums(shape, self.kernel, self.stride)
        factor = tirx.const(self.scale / (self.kernel[0] * self.kernel[1]), "float32")
        out = te.compute(
            sums.shape, lambda h, w, c: sums[h, w, c].astype("float32") * factor, name="out"
        )
        return te.create_prim_func([data, out]).with_attr("scale", self.scale)


@dataclass(frozen=True)
class DequantizeWeight:
    """int8 `weight (blocks, KH, KW, channels, block)` times `scale (blocks, block)`, float32."""

    family: ClassVar[str] = "dequantize_weight"
    blocks: int
    kernel_height: int
    kernel_width: int
    channels: int
    block: int

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        shape = (self.blocks, self.kernel_height, self.kernel_width, self.channels, self.block)
        return f"dequantize_{'x'.join(map(str, shape))}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["DequantizeWeight"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([5, 2, 5]):
            blocks, kernel_height, kernel_width, channels, block = function.shapes[0]
            yield cls(blocks, kernel_height, kernel_width, channels, block)

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.blocks, self.kernel_height, self.kernel_width, self.channels, self.block)
        weight = te.placeholder(shape, dtype="int8", name="weight")
        scale = te.placeholder((self.blocks, self.block), name="scale")
        out = te.compute(
            shape,
            lambda o, h, w, c, v: weight[o, h, w, c, v].astype("float32") * scale[o, v],
            name="out",
        )
        return te.create_prim_func([weight, scale, out])


@dataclass(frozen=True)
class GroupChannels:
    """The image with its channels padded with zeros to whole groups of 4, uint8."""

    family: ClassVar[str] = "group_channels"
    height: int
    width: int
    channels: int

    macs: ClassVar[int] = 0

    @property
    def padded(self) -> int:
        return -(-self.channels // GROUP) * GROUP

    @property
    def name(self) -> str:
        return f"group_{self.height}x{self.width}x{self.channels}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["GroupChannels"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3]) and function.shapes[0][:2] == function.shapes[1][:2]:
            height, width, channels = function.shapes[0]
            yield cls(height, width, channels)

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        pixels = te.placeholder(shape, dtype="uint8", name="pixels")
        zero = tirx.const(0, "uint8")
        out = te.compute(
            (self.height, self.width, self.padded),
            lambda h, w, c: tirx.if_then_else(c < self.channels, pixels[h, w, c], zero),
            name="out",
        )
        return te.create_prim_func([pixels, out])


def _start_at_bias(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """`function` with the block `acc` initialised with the bias; a tensor expression can only
    initialise it with zero::

        init: acc[o, h, w, v] = 0  =>  init: acc[o, h, w, v] = bias[o * block + v]

    `bias` is not added to what the block reads, because the sums, which `tensorize` replaces, do
    not read it.
    """
    _, _, bias, *_ = function.params

    def start(sblock: s_tir.SBlock) -> s_tir.SBlock:
        if sblock.name_hint != "acc":
            return sblock
        zero = sblock.init
        block, _, _, lane = zero.indices
        channel = block * int(zero.buffer.shape[-1]) + lane
        return s_tir.SBlock(
            sblock.iter_vars,
            sblock.reads,
            sblock.writes,
            sblock.name_hint,
            sblock.body,
            tirx.BufferStore(zero.buffer, tirx.BufferLoad(bias, [channel]), zero.indices),
        )

    return function.with_body(tvm_ffi.structural_map(function.body, (s_tir.SBlock, start)))
