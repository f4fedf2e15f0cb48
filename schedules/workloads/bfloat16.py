"""Kernels on bfloat16: the upper 16 bits of a float32, stored as uint16.

Of values that are not negative, the order of the bits as integers is that of the values, so pools
compare them as integers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tvm import te, tirx

from schedules.workloads.direct_conv import rows_apart
from schedules.workloads.normalisation import ImageNormalisation
from schedules.workloads.signature import Signature
from schedules.workloads.tile_conv import COLUMNS, TiledConv, stored

BITS = "uint16"
"""The type of bfloat16 in buffers."""
PAIR = 2
"""Values in 32 bits, which are multiplied together."""


def widened(bits: tirx.Expr, lanes: int = 1) -> tirx.Expr:
    """float32 of the same value, or of each of the `lanes` of a vector."""
    wide = "" if lanes == 1 else f"x{lanes}"
    upper = tirx.shift_left(bits.astype(f"uint32{wide}"), tirx.const(16, f"uint32{wide}"))
    return tirx.reinterpret(f"float32{wide}", upper)


def rounded(value: tirx.Expr) -> tirx.Expr:
    """The bits of a finite float32 as bfloat16, rounded to nearest, ties to even."""
    bits, upper = tirx.reinterpret("uint32", value), tirx.const(16, "uint32")
    odd = tirx.bitwise_and(tirx.shift_right(bits, upper), tirx.const(1, "uint32"))
    return tirx.shift_right(bits + tirx.const(0x7FFF, "uint32") + odd, upper).astype(BITS)


@dataclass(frozen=True)
class Bf16TileConv2d(TiledConv):
    """Convolution, bias and ReLU on tile registers, float32 sums; `block` is `COLUMNS`.

    `data` of `data_shape` bfloat16,
    `weight (blocks, kernel_height, kernel_width, channels / 2, 16, 2)` bfloat16,
    `bias (blocks, 16)` float32 to `out (height, width, stored_channels)` bfloat16. `channels` is a
    multiple of 2. The order of the sums is the kernel's own (`schedules/amx/instructions.py`).
    """

    prefix: ClassVar[str] = "bconv"
    family: ClassVar[str] = "bf16_tile_conv2d"
    itemsize: ClassVar[int] = 2

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["Bf16TileConv2d"]:
        """Every workload of this class that a function of this signature may compute."""
        if not function.fits([3, 6, 2, 3], "out_channels"):
            return
        (rows, _, channels), packed, _, (height, width, _) = function.shapes
        _, kernel_height, kernel_width, _, block, _ = packed
        window = (height, width, channels, kernel_height, kernel_width)
        stride = rows_apart(rows, height, kernel_height)
        yield cls(*window, int(function.attributes["out_channels"]), block, row_stride=stride)

    def prim_func(self) -> tirx.PrimFunc:
        steps = self.channels // PAIR
        packed = (self.blocks, self.kernel_height, self.kernel_width, steps, COLUMNS, PAIR)
        data = te.placeholder(self.data_shape, BITS, "data")
        weight = te.placeholder(packed, BITS, "weight")
        bias = te.placeholder((self.blocks, COLUMNS), name="bias")
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, steps), "c")
        k = te.reduce_axis((0, PAIR), "k")
        acc = te.compute(
            (self.height, self.width, self.blocks, COLUMNS),
            lambda h, w, n, j: te.sum(
                widened(data[h * self.row_stride + kh, w + kw, c * PAIR + k])
                * widened(weight[n, kh, kw, c, j, k]),
                axis=[kh, kw, c, k],
            ),
            name="acc",
        )

        def relu(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
            n, j = o // COLUMNS, o % COLUMNS
            bits = rounded(te.max(acc[h, w, n, j] + bias[n, j], tirx.const(0.0, "float32")))
            return stored(self, o, bits)

        out = te.compute((self.height, self.width, self.stored_channels), relu, name="out")
        function = te.create_prim_func([data, weight, bias, out])
        return function.with_attr("out_channels", self.out_channels)


@dataclass(frozen=True)
class Bf16Normalise(ImageNormalisation):
    """Normalises the image to bfloat16, `out (height, width, padded)`; the channels behind the
    image's are zeros.
    """

    family: ClassVar[str] = "bf16_normalise"
    prefix: ClassVar[str] = "bnormalise"

    @property
    def padded(self) -> int:
        """Channels in whole pairs."""
        return -(-self.channels // PAIR) * PAIR

    def prim_func(self) -> tirx.PrimFunc:
        pixels = te.placeholder((self.height, self.width, self.channels), "uint8", "pixels")
        offset, scale = (tirx.const(value, "float32") for value in (self.offset, self.scale))
        out = te.compute(
            (self.height, self.width, self.padded),
            lambda h, w, c: tirx.if_then_else(
                c < self.channels,
                rounded((pixels[h, w, c].astype("float32") - offset) * scale),
                tirx.const(0, BITS),
            ),
            name="out",
        )
        function = te.create_prim_func([pixels, out])
        return function.with_attrs({"offset": self.offset, "scale": self.scale})
