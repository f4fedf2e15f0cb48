"""Direct integer convolutions whose results are packed to bytes four vectors at a time.

Algorithm: that of `direct_conv2d.py`, tile for tile and on the same buffers, with the epilogue of
`pack_bytes.py`: the vectors of a tile are joined across its pixels, in the order in which they lie
in memory, and a vector of bytes that several pixels share is stored at once. No primitive of a
schedule joins what different iterations of a loop store, so this file emits the statements.
"""

from itertools import groupby

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import declare_parameters
from schedules.dot4_intrinsics import GROUP, dot4_of
from schedules.isa import Isa
from schedules.pack_bytes import JOINED, packed_bytes
from schedules.register_tiles import Tile
from schedules.workloads.integer import QuantizedConv2d

DENSE = "dense_result"
"""Attribute of a scheduled function whose result's pixels must lie one after another, without other
channels between.
"""


def packed_conv2d(workload: QuantizedConv2d, tile: Tile, isa: Isa) -> tirx.PrimFunc:
    """`workload`, whose results fit int16, by a `tile` that divides its output, on the buffers of
    `workload.prim_func()`. Raises `ValueError` where the weights are packed for another tile.
    """
    if workload.block != tile.vectors * isa.float_lanes:
        raise ValueError(f"blocks of {workload.block} channels are packed for no tile of {tile}")
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        buffers = declare_parameters(function)
        kernel = _Kernel(workload, tile, isa, *buffers)
        with (
            T.serial(0, workload.blocks) as block,
            T.serial(0, workload.height // tile.rows) as row,
            T.serial(0, workload.width // tile.columns) as column,
        ):
            kernel.emit_tile(block, row * tile.rows, column * tile.columns)
    return builder.get().with_attrs({**dict(function.attrs.items()), DENSE: True})


_Place = tuple[int, int, int]
"""Row, column and vector of channels within a tile."""


class _Kernel:
    """Emits one kernel into the function that is being built."""

    def __init__(
        self,
        workload: QuantizedConv2d,
        tile: Tile,
        isa: Isa,
        data: tirx.Buffer,
        weight: tirx.Buffer,
        bias: tirx.Buffer,
        multiplier: tirx.Buffer,
        out: tirx.Buffer,
    ) -> None:
        self.workload, self.tile, self.isa, self.lanes = workload, tile, isa, isa.float_lanes
        self.data, self.weight, self.bias = data, weight, bias
        self.multiplier, self.out = multiplier, out
        self.places = [
            (r, c, v)
            for r in range(tile.rows)
            for c in range(tile.columns)
            for v in range(tile.vectors)
        ]
        extents = (tile.rows, tile.columns, tile.vectors, self.lanes)
        self.acc = T.sblock_alloc_buffer(extents, "int32", scope="local")

    def emit_tile(self, block: tirx.Var, row: tirx.Expr, column: tirx.Expr) -> None:
        """The results of the tile whose first pixel is at `row` and `column`."""
        workload = self.workload
        for place in self.places:
            bias = self.bias.vload((self._channel(block, place),), f"int32x{self.lanes}")
            self._store_sums(place, bias)
        with (
            T.serial(0, workload.kernel_height) as kh,
            T.serial(0, workload.kernel_width) as kw,
            T.serial(0, workload.channels // GROUP) as group,
        ):
            for place in self.places:
                inputs = self._inputs(place, (row, column), (kh, kw), group * GROUP)
                at = (block, kh, kw, group, place[-1] * self.lanes, 0)
                weights = self.weight.vload(at, f"int8x{GROUP * self.lanes}")
                self._store_sums(place, dot4_of(self.isa, self._sums(place), inputs, weights))
        for first in range(0, len(self.places), JOINED):
            self._store(block, row, column, self.places[first : first + JOINED])

    def _inputs(
        self,
        place: _Place,
        start: tuple[tirx.Expr, tirx.Expr],
        tap: tuple[tirx.Var, tirx.Var],
        channel: tirx.Expr,
    ) -> tirx.Expr:
        """Four channels of a pixel in every lane; the tile's first pixel is at `start`."""
        r, c, _ = place
        (row, column), (kh, kw) = start, tap
        at = ((row + r) * self.workload.row_stride + kh, column + c + kw, channel)
        four = self.data.vload(at, f"uint8x{GROUP}")
        broadcast = tirx.Broadcast(tirx.reinterpret("int32", four), self.lanes)
        return tirx.reinterpret(f"int8x{GROUP * self.lanes}", broadcast)

    def _store(
        self, block: tirx.Var, row: tirx.Expr, column: tirx.Expr, places: list[_Place]
    ) -> None:
        """Store the results of at most `JOINED` vectors, those that lie side by side at once."""
        multipliers = [
            self.multiplier.vload((self._channel(block, place),), f"float32x{self.lanes}")
            for place in places
        ]
        sums = [self._sums(place) for place in places]
        packed = T.bind(packed_bytes(sums, multipliers, self.workload.qmax, self.lanes))
        for _, run in groupby(enumerate(places), lambda one: self._bytes_before(*one)):
            numbers, (place, *_) = zip(*run, strict=True)
            lanes = len(numbers) * self.lanes
            first = numbers[0] * self.lanes
            part = tirx.Shuffle([packed], list(range(first, first + lanes)))
            r, c, _ = place
            channels = tirx.Ramp(self._channel(block, place), 1, lanes)
            T.buffer_store(
                self.out,
                packed if len(numbers) == JOINED else part,
                (row + r, column + c, channels),
            )

    def _bytes_before(self, number: int, place: _Place) -> tuple[int, int]:
        """Equal for vectors that lie side by side in memory: their row, and the distance from
        vector `number` of a packed one to where it is stored.
        """
        r, c, v = place
        return r, c * self.workload.padded_channels + v * self.lanes - number * self.lanes

    def _channel(self, block: tirx.Var, place: _Place) -> tirx.Expr:
        """The first output channel of a vector."""
        return block * self.workload.block + place[-1] * self.lanes

    def _sums(self, place: _Place) -> tirx.Expr:
        return self.acc.vload((*place, 0), f"int32x{self.lanes}")

    def _store_sums(self, place: _Place, value: tirx.Expr) -> None:
        T.buffer_store(self.acc, value, (*place, tirx.Ramp(0, 1, self.lanes)))
