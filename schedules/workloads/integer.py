"""The kernels of the quantized network, as named shapes with their TensorIR definitions.

Activations are uint8 HWC with zero point 0, so padding zeros are zeros; weights are int8; every sum
is an exact int32. Real values are `scale * q`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import tvm_ffi
from tvm import s_tir, te, tirx

from schedules.dot4_intrinsics import GROUP


@dataclass(frozen=True)
class QuantizedConv2d:
    """Integer convolution, bias and requantization, ReLU included.

    `data (height + kernel_height - 1, width + kernel_width - 1, channels)` uint8,
    `weight (blocks, kernel_height, kernel_width, channels / 4, block, 4)` int8,
    `bias (blocks * block,)` int32, `multiplier (blocks * block,)` float32 to
    `out (height, width, blocks * block)` uint8:

        out = clamp(rint(float32(sum + bias) * multiplier), 0, levels)

    The product is exact, `rint` rounds it to nearest, ties to even. Each sum starts at its bias.
    `channels` is a multiple of 4.
    """

    family: ClassVar[str] = "quantized_conv2d"
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    out_channels: int
    block: int
    """Output channels packed together: the vectors of one register tile, in int32 lanes."""
    levels: int
    """The largest activation, 127 or 255."""

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
    def name(self) -> str:
        return (
            f"qconv{self.kernel_height}x{self.kernel_width}_{self.height}x{self.width}"
            f"_{self.channels}to{self.out_channels}"
        )

    def prim_func(self) -> tirx.PrimFunc:
        block, filled = self.block, self.blocks * self.block
        rows, columns = self.height + self.kernel_height - 1, self.width + self.kernel_width - 1
        data = te.placeholder((rows, columns, self.channels), dtype="uint8", name="data")
        packed = (
            *(self.blocks, self.kernel_height, self.kernel_width),
            *(self.channels // GROUP, block, GROUP),
        )
        weight = te.placeholder(packed, dtype="int8", name="weight")
        bias = te.placeholder((filled,), dtype="int32", name="bias")
        multiplier = te.placeholder((filled,), name="multiplier")
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, self.channels // GROUP), "c")
        k = te.reduce_axis((0, GROUP), "k")
        acc = te.compute(
            (self.blocks, self.height, self.width, block),
            lambda o, h, w, v: te.sum(
                data[h + kh, w + kw, c * GROUP + k].astype("int32")
                * weight[o, kh, kw, c, v, k].astype("int32"),
                axis=[kh, kw, c, k],
            ),
            name="acc",
        )

        def requantize(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
            return to_levels(acc[o // block, h, w, o % block], multiplier[o], self.levels)

        out = te.compute((self.height, self.width, filled), requantize, name="out")
        function = te.create_prim_func([data, weight, bias, multiplier, out])
        function = function.with_attrs({"out_channels": self.out_channels, "levels": self.levels})
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

    def prim_func(self) -> tirx.PrimFunc:
        rows, columns = (
            (extent - 1) * stride + kernel
            for extent, stride, kernel in zip(
                (self.height, self.width), self.stride, self.kernel, strict=True
            )
        )
        data = te.placeholder((rows, columns, self.channels), dtype="uint8", name="data")
        i, j = te.reduce_axis((0, self.kernel[0]), "i"), te.reduce_axis((0, self.kernel[1]), "j")
        sums = te.compute(
            (self.height, self.width, self.channels),
            lambda h, w, c: te.sum(
                data[h * self.stride[0] + i, w * self.stride[1] + j, c].astype("int32"), [i, j]
            ),
            name="sums",
        )
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
    """The image with its channels filled up to whole groups of 4 by zeros, uint8."""

    family: ClassVar[str] = "group_channels"
    height: int
    width: int
    channels: int

    macs: ClassVar[int] = 0

    @property
    def filled(self) -> int:
        return -(-self.channels // GROUP) * GROUP

    @property
    def name(self) -> str:
        return f"group_{self.height}x{self.width}x{self.channels}"

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        pixels = te.placeholder(shape, dtype="uint8", name="pixels")
        zero = tirx.const(0, "uint8")
        out = te.compute(
            (self.height, self.width, self.filled),
            lambda h, w, c: tirx.if_then_else(c < self.channels, pixels[h, w, c], zero),
            name="out",
        )
        return te.create_prim_func([pixels, out])


def _start_at_bias(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """`function` with the block `acc`, which a tensor expression can only start at zero, started at
    its channel's bias instead::

        init: acc[o, h, w, v] = 0  =>  init: acc[o, h, w, v] = bias[o * block + v]

    The block is not said to read `bias`: its sums, which instructions replace, do not.
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


def to_levels(total: tirx.Expr, multiplier: tirx.Expr, levels: int, lanes: int = 1) -> tirx.Expr:
    """`clamp(rint(float32(total) * multiplier), 0, levels)` as uint8, `total` int32; the product
    is exact. All have `lanes` lanes.

    Between 2**23 and 2**24 float32 holds whole numbers only, so one fused multiplication and
    addition of 2**23 rounds the product to nearest, ties to even, and leaves the integer in the low
    bits. Clamping afterwards changes nothing, for both bounds are integers. The fusion is spelled
    out, so that the result is not a compiler's choice.
    """
    vector = "" if lanes == 1 else f"x{lanes}"
    real, integer = f"float32{vector}", f"int32{vector}"
    zero, most = (tirx.const(float(2**23 + level), real) for level in (0, levels))
    rounded = tirx.call_llvm_pure_intrin(real, "llvm.fma", total.astype(real), multiplier, zero)
    clamped = te.max(te.min(rounded, most), zero)
    return tirx.reinterpret(integer, clamped).astype(f"uint8{vector}")
