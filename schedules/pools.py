"""Pools and the image's normalisation: loads bound them, so each value is loaded once.

Max pool, one vector of channels at a time:

1. Cut a row into tiles of `columns` outputs; compute the vertical maxima that a tile needs in
   registers, `(columns - 1) * stride + 3` of them, each shared by the windows that overlap it.
2. Unroll both, vectorise the channels.

Average pool: one accumulator a (position, vector), the window summed row by row.
"""

import math

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV

from lprnet.targets import Isa
from schedules.tiles import divisors


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
    lanes = isa.vector_bytes // (4 if dtype == "float32" else 1)
    return math.gcd(channels, lanes)


def schedule_max_pool(sch: s_tir.Schedule, columns: int, lanes: int) -> None:
    """Schedule a `MaxPool`, a tile `columns` outputs by `lanes` channels, which divide it."""
    row, column, channel, j = sch.get_loops(sch.get_sblock("out"))
    column_tile, column = sch.split(column, [None, columns])
    vector, lane = sch.split(channel, [None, lanes])
    sch.reorder(row, column_tile, vector, j, column, lane)
    keep_maxima_in_registers(sch, vector, column, j)


def keep_maxima_in_registers(
    sch: s_tir.Schedule, tile: LoopRV, column: LoopRV, reduction: LoopRV
) -> None:
    """The rest of a `MaxPool` once its output is cut: vertical maxima and results of the tile under
    the loop `tile` in registers, `column` and the horizontal `reduction` of the output unrolled.
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


def schedule_average_pool(sch: s_tir.Schedule, isa: Isa) -> None:
    """Schedule an `AveragePool` or a `DequantizedAveragePool` of whole vectors of channels."""
    sums, out = sch.get_sblock("sums"), sch.get_sblock("out")
    row, column, channel = sch.get_loops(out)
    vector, lane = sch.split(channel, [None, isa.float_lanes])
    sch.reorder(row, column, vector, lane)
    sch.compute_at(sums, vector, preserve_unit_loops=True)
    sch.set_scope(sums, 0, "local")
    sum_lane, i, j = sch.get_loops(sums)[-3:]
    sch.reorder(i, j, sum_lane)
    sch.unroll(j)
    sch.vectorize(sum_lane)
    init = sch.decompose_reduction(sums, i)
    sch.vectorize(sch.get_loops(init)[-1])
    sch.vectorize(lane)


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
