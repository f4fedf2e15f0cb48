"""Schedules of direct convolutions, float32 and integer.

Algorithm: one register tile of the output is accumulated over the whole window and all input
channels, then gets its bias, ReLU or requantization, and is stored once. Weights are packed in the
order in which the loop reads them, with the vectors of a tile side by side.

Constants: `tile.rows * tile.columns` pixels, `tile.vectors` vectors of `isa.float_lanes` 32-bit
channels (see `register_tiles.py`).

1. Split the output into tiles; process all pixels with one block of weights, which stays in L1.
2. Compute the accumulators at each tile, in registers.
3. Inside, order window, input channel, pixel, vector, lane; unroll pixel and vector, so that each
   accumulator is one register.
4. Compute the epilogue in registers.
5. Compute the lanes with one instruction: an FMA, or the integer dot product of four channels.
6. Initialise the accumulators (zero, or the bias of an integer kernel) before the window's loop.
"""

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from schedules.dot4_intrinsics import dot4
from schedules.isa import Isa
from schedules.register_tiles import Tile


def schedule_conv2d(sch: s_tir.Schedule, tile: Tile, isa: Isa) -> None:
    """Apply `tile` to the `Conv2d` or `WeightOnlyConv2d` in `sch`, whose block must be
    `tile.vectors` vectors.
    """
    acc, window, lane = _register_tile(sch, tile, isa)
    sch.vectorize(lane)
    _start_before(sch, acc, window)


def schedule_quantized_conv2d(sch: s_tir.Schedule, tile: Tile, isa: Isa) -> None:
    """Apply `tile` to the `QuantizedConv2d` in `sch`, packed for `tile.vectors` vectors."""
    acc, window, lane = _register_tile(sch, tile, isa)
    _start_before(sch, acc, window)
    sch.tensorize(lane, dot4(isa))


def _register_tile(sch: s_tir.Schedule, tile: Tile, isa: Isa) -> tuple[SBlockRV, LoopRV, LoopRV]:
    """Steps 1 to 4; returns the accumulation, its outermost window loop, and its lanes."""
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")

    # 1. Tiles of the output.
    row, column, channel = sch.get_loops(out)
    block, channel = sch.split(channel, [None, tile.vectors * isa.float_lanes])
    vector, lane = sch.split(channel, [tile.vectors, isa.float_lanes])
    row_tile, row = sch.split(row, [None, tile.rows])
    column_tile, column = sch.split(column, [None, tile.columns])
    sch.reorder(block, row_tile, column_tile, row, column, vector, lane)

    # 2. Accumulators at the tile.
    sch.compute_at(acc, column_tile, preserve_unit_loops=True)
    sch.set_scope(acc, 0, "local")

    # 3. The reduction, outermost first; an integer kernel's group of 4 stays inside the lane.
    below_tile = sch.get_loops(acc)[len(sch.get_loops(out)) - 4 :]
    _, acc_row, acc_column, acc_channel, kh, kw, c, *_ = below_tile
    acc_vector, acc_lane = sch.split(acc_channel, [tile.vectors, isa.float_lanes])
    sch.reorder(kh, kw, c, acc_row, acc_column, acc_vector, acc_lane)
    for loop in (acc_row, acc_column, acc_vector):
        sch.unroll(loop)

    # 4. The epilogue.
    for loop in (row, column, vector):
        sch.unroll(loop)
    sch.vectorize(lane)
    return acc, kh, acc_lane


def _start_before(sch: s_tir.Schedule, acc: SBlockRV, window: LoopRV) -> None:
    """Step 6."""
    init = sch.decompose_reduction(acc, window)
    *_, row, column, vector, lane = sch.get_loops(init)
    for loop in (row, column, vector):
        sch.unroll(loop)
    sch.vectorize(lane)
