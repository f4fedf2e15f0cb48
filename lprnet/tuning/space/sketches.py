"""The search space: sketches (Ansor, section 4) with free tile sizes, for each family of kernels.

A sketch fixes what the evolutionary search cannot mutate: the rows and vectors of a register tile,
and what is outermost in the reduction. Every tile size is a `sample_perfect_tile`, which the search
can mutate. No candidate has more accumulators than there are vector registers, runs in parallel, or
needs a buffer in memory.

Convolutions are tiled S S R S (S: spatial loops, R: reduction): outer rows and columns, blocks of
channels, inner rows and columns, the reduction with its innermost channels unrolled, the register
tile. If all outer tiles are 1, the weights stay in cache and the image is streamed; if all inner
tiles are 1, it is the other way round.

Winograd's algorithm has only its register tile to choose, so each of its tiles is a sketch.
"""

from typing import TypeGuard

from tvm import s_tir
from tvm.s_tir import meta_schedule as ms

from lprnet.tuning.space.algorithms import Direct, Tunable, Winograd
from schedules.dot4_intrinsics import dot4
from schedules.isa import Isa
from schedules.pools import keep_maxima_in_registers, pool_lanes
from schedules.register_tiles import divisors
from schedules.winograd.f32 import schedule_winograd
from schedules.winograd.f32_tiles import WinogradTile
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, QuantizedConv2d
from schedules.workloads.workload import Workload

TILE_ROWS = 3
MAX_UNROLLED_CHANNELS = 8
INNER_ROWS = 32


def is_tunable(workload: Workload) -> TypeGuard[Direct]:
    """False for kernels that pass once over their input; their schedule has no free choice."""
    return isinstance(workload, Direct)


def space_generator(workload: Tunable, isa: Isa) -> ms.space_generator.ScheduleFn:
    """The design space of `workload`: tile sizes are mutated, no postprocessor is applied."""
    return ms.space_generator.ScheduleFn(
        lambda sch: sketches(sch, workload, isa),
        sch_rules=[],
        postprocs=[],
        mutator_probs={ms.mutator.MutateTileSize(): 1.0},
    )


def sketches(sch: s_tir.Schedule, workload: Tunable, isa: Isa) -> list[s_tir.Schedule]:
    """Every sketch of `workload`, each on a copy of `sch` with random tile sizes."""
    match workload:
        case Conv2d() | QuantizedConv2d():
            window_outside = (
                (True, False) if workload.kernel_height * workload.kernel_width > 1 else (True,)
            )
            return [
                _conv2d(sch.copy(), workload, isa, rows, vectors, outside)
                for rows in divisors(workload.height)
                if rows <= TILE_ROWS
                for vectors in divisors(workload.block // isa.float_lanes)
                for outside in window_outside
            ]
        case Winograd():
            return [_winograd(sch.copy(), workload, tile) for tile in workload.tiles]
        case MaxPool():
            return [_max_pool(sch.copy(), workload, isa)]
        case AveragePool() | DequantizedAveragePool():
            return [_average_pool(sch.copy(), isa, whole) for whole in (True, False)]


def _conv2d(
    sch: s_tir.Schedule,
    workload: Conv2d | QuantizedConv2d,
    isa: Isa,
    rows: int,
    vectors: int,
    window_outside: bool,
) -> s_tir.Schedule:
    lanes = isa.float_lanes
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")

    # Spatial tiles; the innermost of each is part of the register tile.
    row, column, channel = sch.get_loops(out)
    block, vector, lane = sch.split(channel, [None, vectors, lanes])
    row_tile, row = sch.split(row, [None, rows])
    row_outer, row_inner = sch.split(
        row_tile, sch.sample_perfect_tile(row_tile, 2, max_innermost_factor=INNER_ROWS)
    )
    columns = max(1, isa.registers // (rows * vectors))
    column_outer, column_inner, column = sch.split(
        column, sch.sample_perfect_tile(column, 3, max_innermost_factor=columns)
    )
    sch.reorder(row_outer, column_outer, block, row_inner, column_inner, row, column, vector, lane)

    # Accumulators at the register tile.
    sch.compute_at(acc, column_inner, preserve_unit_loops=True)
    sch.set_scope(acc, 0, "local")
    below = sch.get_loops(acc)[len(sch.get_loops(out)) - 4 :]
    _, acc_row, acc_column, acc_channel, kh, kw, c, *_ = below
    c_outer, c_inner = sch.split(
        c, sch.sample_perfect_tile(c, 2, max_innermost_factor=MAX_UNROLLED_CHANNELS)
    )
    acc_vector, acc_lane = sch.split(acc_channel, [vectors, lanes])
    window = [kh, kw, c_outer] if window_outside else [c_outer, kh, kw]
    sch.reorder(*window, c_inner, acc_row, acc_column, acc_vector, acc_lane)
    for loop in (c_inner, acc_row, acc_column, acc_vector, row, column, vector):
        sch.unroll(loop)
    sch.vectorize(lane)

    # Zeros or biases before the reduction, then one instruction for the lanes.
    quantized = isinstance(workload, QuantizedConv2d)
    if not quantized:
        sch.vectorize(acc_lane)
    init = sch.decompose_reduction(acc, window[0])
    *_, init_row, init_column, init_vector, init_lane = sch.get_loops(init)
    for loop in (init_row, init_column, init_vector):
        sch.unroll(loop)
    sch.vectorize(init_lane)
    if quantized:
        sch.tensorize(acc_lane, dot4(isa))
    return sch


def _winograd(sch: s_tir.Schedule, workload: Winograd, tile: WinogradTile) -> s_tir.Schedule:
    schedule_winograd(sch, workload.convolution, tile, workload.isa)
    return sch


def _max_pool(sch: s_tir.Schedule, workload: MaxPool, isa: Isa) -> s_tir.Schedule:
    """Tiles of columns whose vertical maxima and results fit the registers."""
    row, column, channel, j = sch.get_loops(sch.get_sblock("out"))
    fitting = (isa.registers - 3 + workload.stride) // (workload.stride + 1)
    column_tile, column = sch.split(
        column, sch.sample_perfect_tile(column, 2, max_innermost_factor=fitting)
    )
    vector, lane = sch.split(channel, [None, pool_lanes(workload.channels, workload.dtype, isa)])
    outer, inner = sch.split(vector, sch.sample_perfect_tile(vector, 2, max_innermost_factor=8))
    sch.reorder(outer, row, column_tile, inner, j, column, lane)
    keep_maxima_in_registers(sch, inner, column, j)
    return sch


def _average_pool(sch: s_tir.Schedule, isa: Isa, columns_outside: bool) -> s_tir.Schedule:
    """Several vectors of channels at a time, part of the window unrolled."""
    sums, out = sch.get_sblock("sums"), sch.get_sblock("out")
    row, column, channel = sch.get_loops(out)
    vector, lane = sch.split(channel, [None, isa.float_lanes])
    outer, vector = sch.split(vector, sch.sample_perfect_tile(vector, 2, max_innermost_factor=8))
    order = (row, column, outer) if columns_outside else (outer, row, column)
    sch.reorder(*order, vector, lane)

    sch.compute_at(sums, order[-1], preserve_unit_loops=True)
    sch.set_scope(sums, 0, "local")
    sum_channel, i, j = sch.get_loops(sums)[-3:]
    sum_vector, sum_lane = sch.split(sum_channel, [None, isa.float_lanes])
    i_outer, i_inner = sch.split(i, sch.sample_perfect_tile(i, 2, max_innermost_factor=4))
    sch.reorder(i_outer, i_inner, j, sum_vector, sum_lane)
    for loop in (i_inner, j, sum_vector, vector):
        sch.unroll(loop)
    for loop in (sum_lane, lane):
        sch.vectorize(loop)
    init = sch.decompose_reduction(sums, i_outer)
    init_vector, init_lane = sch.get_loops(init)[-2:]
    sch.unroll(init_vector)
    sch.vectorize(init_lane)
    return sch
