"""Direct integer convolutions whose results are packed to bytes four vectors at a time.

Algorithm: that of `direct_conv2d.py`, tile for tile and on the same buffers, with the epilogue of
`packed_results.py`: the vectors of a tile are joined across its pixels, in the order in which they
lie in memory, and a vector of bytes that several pixels share is stored at once. No primitive of a
schedule joins what different iterations of a loop store, so this file emits the statements.
"""

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import ConvBuffers, declare_parameters
from schedules.dot4_intrinsics import GROUP, broadcast_group, dot4_of
from schedules.isa import Isa
from schedules.packed_results import DENSE, PackedResults, Place
from schedules.register_tiles import Tile
from schedules.workloads.integer import QuantizedConv2d


def packed_conv2d(workload: QuantizedConv2d, tile: Tile, isa: Isa) -> tirx.PrimFunc:
    """`workload`, whose results fit int16, by a `tile` that divides its output, on the buffers of
    `workload.prim_func()`. Raises `ValueError` where the weights are packed for another tile.
    """
    if workload.block != tile.vectors * isa.float_lanes:
        raise ValueError(f"blocks of {workload.block} channels are packed for no tile of {tile}")
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        kernel = _Kernel(workload, tile, isa, ConvBuffers(*declare_parameters(function)))
        with (
            T.serial(0, workload.blocks) as block,
            T.serial(0, workload.height // tile.rows) as row,
            T.serial(0, workload.width // tile.columns) as column,
        ):
            kernel.emit_tile(block, row * tile.rows, column * tile.columns)
    return builder.get().with_attrs({**dict(function.attrs.items()), DENSE: True})


class _Kernel:
    """Emits one kernel into the function that is being built."""

    def __init__(
        self, workload: QuantizedConv2d, tile: Tile, isa: Isa, buffers: ConvBuffers
    ) -> None:
        self.workload, self.tile, self.isa, self.lanes = workload, tile, isa, isa.float_lanes
        self.data, self.weight, self.bias, multiplier, out = buffers
        self.results = PackedResults(workload, isa, multiplier, out)
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
        sums = [self._sums(place) for place in self.places]
        self.results.store(self.places, sums, (row, column), block * workload.block)

    def _inputs(
        self,
        place: Place,
        start: tuple[tirx.Expr, tirx.Expr],
        tap: tuple[tirx.Var, tirx.Var],
        channel: tirx.Expr,
    ) -> tirx.Expr:
        """Four channels of a pixel in every lane; the tile's first pixel is at `start`."""
        r, c, _ = place
        (row, column), (kh, kw) = start, tap
        at = ((row + r) * self.workload.row_stride + kh, column + c + kw, channel)
        return broadcast_group(self.data, at, self.lanes)

    def _channel(self, block: tirx.Var, place: Place) -> tirx.Expr:
        """The first output channel of a vector."""
        return block * self.workload.block + place[-1] * self.lanes

    def _sums(self, place: Place) -> tirx.Expr:
        return self.acc.vload((*place, 0), f"int32x{self.lanes}")

    def _store_sums(self, place: Place, value: tirx.Expr) -> None:
        T.buffer_store(self.acc, value, (*place, tirx.Ramp(0, 1, self.lanes)))
