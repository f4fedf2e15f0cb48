"""Schedules of kernels that are limited by loads, and what all pools have in common.

`average_pools.py` and `max_pools.py` have those of pools. The search transforms the definition of a
max pool instead (`keep_maxima_in_registers`).
"""

import math

import numpy as np
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV

from schedules.isa import Isa

CACHE_LINE = 64
IN_PLACE = "in_place"
"""Attribute of a scheduled function that may write each element of its result over the element of
its first operand that has the same index.
"""


def pool_lanes(channels: int, dtype: str, isa: Isa) -> int:
    """The longest vector of `dtype` that divides the channels."""
    return math.gcd(channels, isa.vector_bytes // _itemsize(dtype))


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
