"""Direct integer convolutions whose last vector of channels shares its lanes (`split_lanes.py`).

Algorithm: that of `packed_conv2d.py`, on the same buffers, with these differences.

1. The weights of the last vector are put in order once a call: of `parts` groups of four inputs,
   the channels in turn, so that lane l has channel l // parts and group l % parts. Groups that are
   left over have lanes of zeros.
2. In each step, whole vectors multiply group after group, and the last one all of them at once.
3. `split_results.py` makes bytes of the sums.
"""

from collections.abc import Sequence

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import ConvBuffers, declare_parameters
from schedules.dot4_intrinsics import GROUP, broadcast_group, dot4_of
from schedules.isa import Isa
from schedules.packed_results import DENSE
from schedules.split_lanes import SplitTile, steps
from schedules.split_results import SplitResults
from schedules.workloads.integer import QuantizedConv2d


def split_conv2d(workload: QuantizedConv2d, tile: SplitTile, isa: Isa) -> tirx.PrimFunc:
    """`workload`, whose results fit int16, by `tile`, on the buffers of `workload.prim_func()`."""
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        kernel = _Kernel(workload, tile, isa, ConvBuffers(*declare_parameters(function)))
        kernel.order_weights()
        with (
            T.serial(0, workload.height // tile.rows) as row,
            T.serial(0, workload.width // tile.columns) as column,
        ):
            kernel.emit_tile(row * tile.rows, column * tile.columns)
    return builder.get().with_attrs({**dict(function.attrs.items()), DENSE: True})


class _Kernel:
    """Emits one kernel into the function that is being built."""

    def __init__(
        self, workload: QuantizedConv2d, tile: SplitTile, isa: Isa, buffers: ConvBuffers
    ) -> None:
        self.workload, self.tile, self.isa, self.lanes = workload, tile, isa, isa.float_lanes
        self.data, self.weight, self.bias, multiplier, out = buffers
        self.results = SplitResults(workload, tile, isa, multiplier, out)
        self.int32, self.int8 = f"int32x{self.lanes}", f"int8x{GROUP * self.lanes}"
        self.pixels = [(r, c) for r in range(tile.rows) for c in range(tile.columns)]
        self.channels = self.lanes // tile.parts
        """Of the last vector."""
        self.first = tile.whole * self.lanes
        """Its first channel."""
        self.together, self.left = steps(workload, tile.parts)
        taps = (workload.kernel_height, workload.kernel_width)
        extents = (*taps, self.together + self.left, GROUP * self.lanes)
        self.ordered = T.sblock_alloc_buffer(extents, "int8")
        sums = (len(self.pixels), tile.whole + 1, self.lanes)
        self.acc = T.sblock_alloc_buffer(sums, "int32", scope="local")

    def order_weights(self) -> None:
        """Step 1."""
        parts = self.tile.parts
        with (
            T.serial(0, self.workload.kernel_height) as kh,
            T.serial(0, self.workload.kernel_width) as kw,
        ):

            def order(step: tirx.Expr, group: tirx.Expr, groups: int) -> None:
                loads = [
                    self.weight.vload(
                        (0, kh, kw, group + n, self.first, 0), f"int8x{GROUP * self.channels}"
                    )
                    for n in range(groups)
                ]
                whole = [tirx.reinterpret(f"int32x{self.channels}", load) for load in loads]
                value = tirx.reinterpret(self.int8, self._in_turn(whole))
                T.buffer_store(
                    self.ordered, value, (kh, kw, step, tirx.Ramp(0, 1, GROUP * self.lanes))
                )

            with T.serial(0, self.together) as step:
                order(step, step * parts, parts)
            for n in range(self.left):
                order(self.together + n, self.together * parts + n, 1)

    def _in_turn(self, groups: Sequence[tirx.Expr]) -> tirx.Expr:
        """int32 of all lanes, from the channels of each group; those of missing groups are 0."""
        zeros = tirx.const(0, f"int32x{self.channels}")
        parts = self.tile.parts
        padded = [*groups, *[zeros] * (parts - len(groups))]
        order = [lane % parts * self.channels + lane // parts for lane in range(self.lanes)]
        return tirx.Shuffle(padded, order)

    def emit_tile(self, row: tirx.Expr, column: tirx.Expr) -> None:
        """The results of the tile whose first pixel is at `row` and `column`."""
        whole, parts = self.tile.whole, self.tile.parts
        for pixel in range(len(self.pixels)):
            for v in range(whole):
                self._store_sums(pixel, v, self.bias.vload((v * self.lanes,), self.int32))
            last = self.bias.vload((self.first,), f"int32x{self.channels}")
            self._store_sums(pixel, whole, self._in_turn([last]))
        with (
            T.serial(0, self.workload.kernel_height) as kh,
            T.serial(0, self.workload.kernel_width) as kw,
        ):
            with T.serial(0, self.together) as step:
                self._step((kh, kw), (row, column), step * parts, parts, step)
            for n in range(self.left):
                group = tirx.const(self.together * parts + n, "int32")
                self._step((kh, kw), (row, column), group, 1, self.together + n)
        whole_sums = [
            [self._sums(pixel, v) for v in range(whole)] for pixel in range(len(self.pixels))
        ]
        last_sums = [self._sums(pixel, whole) for pixel in range(len(self.pixels))]
        self.results.store(whole_sums, last_sums, row, column)

    def _step(
        self,
        tap: tuple[tirx.Var, tirx.Var],
        start: tuple[tirx.Expr, tirx.Expr],
        group: tirx.Expr,
        groups: int,
        ordered: tirx.Expr | int,
    ) -> None:
        """Step 2, for `groups` groups of inputs from `group` on."""
        whole = self.tile.whole
        for n in range(groups if whole else 0):
            for pixel in range(len(self.pixels)):
                inputs = self._inputs(pixel, tap, start, group + n, 1)
                for v in range(whole):
                    at = (0, *tap, group + n, v * self.lanes, 0)
                    self._add(pixel, v, inputs, self.weight.vload(at, self.int8))
        for pixel in range(len(self.pixels)):
            inputs = self._inputs(pixel, tap, start, group, groups)
            self._add(pixel, whole, inputs, self.ordered.vload((*tap, ordered, 0), self.int8))

    def _inputs(
        self,
        pixel: int,
        tap: tuple[tirx.Var, tirx.Var],
        start: tuple[tirx.Expr, tirx.Expr],
        group: tirx.Expr,
        groups: int,
    ) -> tirx.Expr:
        """`groups` groups of inputs of a pixel, again and again."""
        (row, column), (r, c), (kh, kw) = start, self.pixels[pixel], tap
        at = ((row + r) * self.workload.row_stride + kh, column + c + kw, group * GROUP)
        if groups == 1:
            return broadcast_group(self.data, at, self.lanes)
        loaded = self.data.vload(at, f"uint8x{GROUP * groups}")
        if groups == 2:
            every = tirx.Broadcast(tirx.reinterpret("int64", loaded), self.lanes // 2)
        else:
            vectors = [tirx.reinterpret(f"int32x{groups}", loaded)] * (self.lanes // groups)
            every = tirx.Shuffle(vectors, list(range(self.lanes)))
        return tirx.reinterpret(self.int8, every)

    def _sums(self, pixel: int, v: int) -> tirx.Expr:
        return self.acc.vload((pixel, v, 0), self.int32)

    def _add(self, pixel: int, v: int, inputs: tirx.Expr, weights: tirx.Expr) -> None:
        self._store_sums(pixel, v, dot4_of(self.isa, self._sums(pixel, v), inputs, weights))

    def _store_sums(self, pixel: int, v: int, value: tirx.Expr) -> None:
        T.buffer_store(self.acc, value, (pixel, v, tirx.Ramp(0, 1, self.lanes)))
