"""Direct convolution from registers.

Algorithm: one register tile of the output is accumulated over the whole window and all input
channels, then gets its bias and ReLU and is stored once. Weights are packed so that the tile's
vectors lie side by side in the order in which the loop meets them.

Constants: `tile.rows * tile.columns` pixels, `tile.vectors` vectors of `isa.float_lanes` channels
(`tiles.py` argues them).

1. Cut the output into tiles; walk all pixels under one block of weights, so that it stays in L1.
2. Compute the accumulators at each tile, in registers.
3. Inside, order window, input channel, pixel, vector; unroll the last two, so that each
   accumulator is one register, and vectorise the lanes.
4. Zero the accumulators before the window, not inside it.
5. Bias, ReLU and store, from registers.
"""

from tvm import s_tir

from lprnet.targets import Isa
from schedules.tiles import Tile


def schedule_conv2d(sch: s_tir.Schedule, tile: Tile, isa: Isa) -> None:
    """Apply `tile` to the `Conv2d` in `sch`, whose block must be `tile.vectors` vectors."""
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

    # 3. The reduction, outermost first.
    acc_row, acc_column, acc_channel, kh, kw, c = sch.get_loops(acc)[-6:]
    acc_vector, acc_lane = sch.split(acc_channel, [tile.vectors, isa.float_lanes])
    sch.reorder(kh, kw, c, acc_row, acc_column, acc_vector, acc_lane)
    for loop in (acc_row, acc_column, acc_vector):
        sch.unroll(loop)
    sch.vectorize(acc_lane)

    # 4. Zeros before it.
    init = sch.decompose_reduction(acc, kh)
    for loop in sch.get_loops(init)[-4:-1]:
        sch.unroll(loop)

    # 5. The epilogue.
    for loop in (row, column, vector):
        sch.unroll(loop)
    sch.vectorize(lane)
