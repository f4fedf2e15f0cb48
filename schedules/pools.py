"""Schedules of pools and other kernels that loads limit, so each value is loaded once.

Max pool, one vector of channels at a time:

1. If a vector fills whole cache lines, the whole image is processed before the next vector: three
   rows of it stay in L1 for the windows that overlap. Shorter vectors share cache lines, so all
   vectors of a tile are processed together.
2. Split a row into tiles of `columns` outputs; compute the vertical maxima of a tile in registers,
   `(columns - 1) * stride + 3` of them, each shared by the windows that overlap it.
3. Unroll both, vectorise the channels.

So a tile is read completely before it is written, and no later tile reads at its indices. The
result may overwrite the input, whose lines are in L1, instead of using other memory.

Average pools are in `average_pools.py`.
"""

import math

import numpy as np
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV

from schedules.isa import Isa
from schedules.register_tiles import divisors

CACHE_LINE = 64
IN_PLACE = "in_place"
"""Attribute of a scheduled function that may write each element of its result over the element of
its first operand that has the same index.
"""


def pool_columns(width: int, stride: int, isa: Isa) -> int:
    """The widest tile of outputs whose column maxima and results fit the registers."""
    fitting = (
        columns
        for columns in divisors(width)
        if (columns - 1) * stride + 3 + columns + 1 <= isa.registers
    )
    return max(fitting)


def pool_lanes(channels: int, dtype: str, isa: Isa) -> int:
    """The longest vector of `dtype` that divides the channels."""
    return math.gcd(channels, isa.vector_bytes // _itemsize(dtype))


def schedule_max_pool(sch: s_tir.Schedule, columns: int, lanes: int, dtype: str) -> None:
    """Schedule a `MaxPool` in tiles of `columns` outputs by `lanes` channels, which divide it."""
    row, column, channel, j = sch.get_loops(sch.get_sblock("out"))
    column_tile, column = sch.split(column, [None, columns])
    vector, lane = sch.split(channel, [None, lanes])
    tile = [row, column_tile]
    fills_lines = lanes * _itemsize(dtype) % CACHE_LINE == 0
    order = [vector, *tile] if fills_lines else [*tile, vector]
    sch.reorder(*order, j, column, lane)
    keep_maxima_in_registers(sch, order[-1], column, j)


def keep_maxima_in_registers(
    sch: s_tir.Schedule, tile: LoopRV, column: LoopRV, reduction: LoopRV
) -> None:
    """The rest of the schedule of a `MaxPool` whose output is split: vertical maxima and results of
    the tile under the loop `tile` in registers, `column` and the horizontal `reduction` unrolled.
    """
    column_max, out = sch.get_sblock("column_max"), sch.get_sblock("out")
    sch.compute_at(column_max, tile, preserve_unit_loops=True)
    sch.set_scope(column_max, 0, "local")
    _, max_column, max_lane, i = sch.get_loops(column_max)[-4:]
    sch.reorder(i, max_column, max_lane)
    stored = sch.cache_write(out, 0, "local")
    sch.reverse_compute_at(stored, tile, preserve_unit_loops=True)

    for block, pixel, reduced in ((column_max, max_column, i), (out, column, reduction)):
        sch.vectorize(sch.get_loops(block)[-1])
        init = sch.decompose_reduction(block, reduced)
        for loop in (pixel, reduced, sch.get_loops(init)[-2]):
            sch.unroll(loop)
        sch.vectorize(sch.get_loops(init)[-1])
    stored_column, stored_lane = sch.get_loops(stored)[-2:]
    sch.unroll(stored_column)
    sch.vectorize(stored_lane)


def schedule_elementwise(sch: s_tir.Schedule, isa: Isa) -> None:
    """Schedule a `Normalise` or a `Divide`: one vector at a time."""
    value = sch.fuse(*sch.get_loops(sch.get_sblock("out")))
    _, lane = sch.split(value, [None, isa.float_lanes])
    sch.vectorize(lane)


def schedule_dequantize_weight(sch: s_tir.Schedule, isa: Isa) -> None:
    """Schedule a `DequantizeWeight`: one vector of output channels at a time."""
    *_, channel = sch.get_loops(sch.get_sblock("out"))
    _, lane = sch.split(channel, [None, isa.float_lanes])
    sch.vectorize(lane)


def schedule_group_channels(sch: s_tir.Schedule) -> None:
    """Schedule a `GroupChannels`: the channels of a pixel together, unrolled."""
    *_, channel = sch.get_loops(sch.get_sblock("out"))
    sch.unroll(channel)


def schedule_mean_square(sch: s_tir.Schedule) -> None:
    """Schedule a `MeanSquare`: one vector of partial sums, then their total."""
    partial = sch.get_sblock("partial")
    lane, i, j, k = sch.get_loops(partial)
    sch.reorder(i, j, k, lane)
    sch.vectorize(lane)
    for block in ("partial", "total"):
        sch.set_scope(sch.get_sblock(block), 0, "local")
    init = sch.decompose_reduction(partial, i)
    sch.vectorize(sch.get_loops(init)[-1])


def _itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize
