"""Convolutions whose weights are packed for tile registers (AMX): what all have in common, and
those in integers. `bfloat16.py` has the others.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import te, tirx

from schedules.dot4_intrinsics import GROUP
from schedules.workloads.direct_conv import DirectConv, RequantizedConv
from schedules.workloads.requantization import requantized

COLUMNS = 16
"""Output channels of one tile of sums: 32-bit columns of a tile register."""
WIDTHS = (4, 3, 2, 1)
"""Tiles of sums whose results are stored together, most first; their channels are consecutive."""
STORED = {4: 4, 3: 4, 2: 2, 1: 1}
"""And the tiles' worth of channels that are stored: behind three tiles zeros, so that a pixel's
bytes are whole cache lines. Rows of activations that cross none load five times faster.
"""


@dataclass(frozen=True)
class TiledConv(DirectConv):
    """A convolution on tile registers; `block` is `COLUMNS`."""

    itemsize: ClassVar[int]
    """Bytes of an activation and of a weight. Four bytes of a pixel are multiplied together."""

    @property
    def pixel_bytes(self) -> int:
        """Of the input."""
        return self.channels * self.itemsize

    @property
    def stored_channels(self) -> int:
        """Of the output: those of all tiles, and the zeros behind three of them."""
        return COLUMNS * sum(STORED[width] for _, width in self.groups())

    def groups(self) -> list[tuple[int, int]]:
        """`(first tile, tiles)` of each group whose results are stored together."""
        found: list[tuple[int, int]] = []
        first = 0
        for width in WIDTHS:
            while self.blocks - first >= width:
                found.append((first, width))
                first += width
        return found


@dataclass(frozen=True)
class TileConv2d(TiledConv, RequantizedConv):
    """Integer convolution, bias and requantization, ReLU included; `block` is `COLUMNS`.

    `data` of `data_shape` uint8,
    `weight (blocks, kernel_height, kernel_width, channels / 4, 16, 4)` int8,
    `bias (blocks, 16)` int32, `multiplier (blocks, 16)` float32 to
    `out (height, width, stored_channels)` uint8:

        out = clamp(rint(float32(sum + bias) * multiplier), 0, qmax)

    It computes what `QuantizedConv2d` computes, with two differences. Channel c is not column c,
    but column `channel_columns()[c]`: the order in which the requantized bytes of the tiles come
    together without a shuffle of their own. And every rounded product must fit int16
    (`relay_passes/lowering/check_int16_results.py`). `channels` is a multiple of 4.
    """

    prefix: ClassVar[str] = "tconv"
    family: ClassVar[str] = "tile_conv2d"
    ranks: ClassVar[list[int]] = [3, 6, 2, 2, 3]
    itemsize: ClassVar[int] = 1

    def prim_func(self) -> tirx.PrimFunc:
        steps = self.channels // GROUP
        tiles = (self.blocks, COLUMNS)
        data = te.placeholder(self.data_shape, dtype="uint8", name="data")
        packed = (self.blocks, self.kernel_height, self.kernel_width, steps, COLUMNS, GROUP)
        weight = te.placeholder(packed, dtype="int8", name="weight")
        bias = te.placeholder(tiles, dtype="int32", name="bias")
        multiplier = te.placeholder(tiles, name="multiplier")
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, steps), "c")
        k = te.reduce_axis((0, GROUP), "k")
        acc = te.compute(
            (self.height, self.width, *tiles),
            lambda h, w, n, j: te.sum(
                data[h * self.row_stride + kh, w + kw, c * GROUP + k].astype("int32")
                * weight[n, kh, kw, c, j, k].astype("int32"),
                axis=[kh, kw, c, k],
            ),
            name="acc",
        )

        def requantize(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
            n, j = self._tile(o)
            q = requantized(acc[h, w, n, j] + bias[n, j], multiplier[n, j], self.qmax)
            return stored(self, o, q)

        out = te.compute((self.height, self.width, self.stored_channels), requantize, name="out")
        function = te.create_prim_func([data, weight, bias, multiplier, out])
        return function.with_attrs({"out_channels": self.out_channels, "levels": self.qmax})

    def _tile(self, channel: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr]:
        """The tile and the column of an output channel."""
        tile: tirx.Expr = tirx.const(0)
        column: tirx.Expr = tirx.const(0)
        for first, width in self.groups():
            own = channel - first * COLUMNS
            n, j = place(own, width)
            inside = channel >= first * COLUMNS
            tile = tirx.Select(inside, first + n, tile)
            column = tirx.Select(inside, j, column)
        return tile, column

    def channel_columns(self) -> NDArray[np.intp]:
        """`(padded_channels,)`: the index in `(blocks, 16)` of each output channel."""
        columns = np.empty(self.padded_channels, np.intp)
        for first, width in self.groups():
            own = np.arange(width * COLUMNS)
            n, j = place(own, width)
            columns[first * COLUMNS + own] = (first + n) * COLUMNS + j
        return columns


def place(channel: NDArray[np.intp] | tirx.Expr, width: int) -> tuple[Any, Any]:
    """The tile and the column of a channel in a group of `width` tiles.

    Two tiles: even channels in the first, odd ones in the second, because packing two vectors of
    words joins their lanes in turn. Three tiles: two, then one. Four tiles: packing words to bytes
    also joins 64 bits of each pair in turn.
    """
    if width == 1:
        return channel * 0, channel
    if width == 2:
        return channel % 2, channel // 2
    if width == 3:
        pair = channel < 2 * COLUMNS
        either = np.where if isinstance(channel, np.ndarray) else tirx.Select
        return either(pair, channel % 2, 2), either(pair, channel // 2, channel - 2 * COLUMNS)
    return channel % 2 + channel // 8 % 2 * 2, channel // 16 * 4 + channel % 8 // 2


def stored(workload: TiledConv, channel: tirx.Var, value: tirx.Expr) -> tirx.Expr:
    """`value` of an output channel of the tiles, zero behind them."""
    if workload.stored_channels == workload.padded_channels:
        return value
    zero = tirx.const(0, value.ty.dtype)
    return tirx.if_then_else(channel < workload.padded_channels, value, zero)
