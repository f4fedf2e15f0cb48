"""Winograd convolution in one dimension, float32: 3x1 and 1x3 kernels with fewer multiplications.

Algorithm: Lavin and Gray (arXiv:1509.09308) in one dimension. Along the kernel's axis the output is
split into runs of m pixels; each run, channel and output channel needs m + 2 products instead of 3m
(`cook_toom.py`). With the matrices of F(m, 3) named
`weight`, `input` and `output`, and x one of its m + 2 products:

    U[x] = sum over k of weight[x, k] * W[k]            a (channels, output channels) matrix
    V[x] = sum over r of input[x, r] * data[m * t + r]  a vector of channels for each run t
    M[x] = V[x] @ U[x]                                  the stage that takes most of the time
    out[m * t + i] = relu(sum over x of output[i, x] * M[x] + bias)

Error: the transforms add rounding errors, which grow with the largest entries of the matrices. On
random data with 64 channels, the largest error of an output relative to the largest output, against
float64, was 0.4e-6 for direct convolution, 0.3e-6 for F(2, 3), 1.3e-6 for F(4, 3) and 1.6e-6 for
F(6, 3); `tests/schedules/winograd/test_f32.py` requires 4e-6 of every kernel.

The weights are transformed for each image, which takes about 5 % of a kernel's time. An artifact
with U instead of W would be half as large again, and U kept between images would be more memory to
load for each image. So U is in scratch memory, which all kernels share.

Channels are processed in vectors of `isa.float_lanes`. If these do not divide the channels, the
last vector starts early enough to end with the last channel, and U is zero for repeated channels.

1. Compute U once, one vector of output channels at a time, all x together.
2. Split the output, whose pixels along the axis are (run, i), into register tiles of runs.
3. Compute V for each tile, one vector of channels at a time, all x of a run from the same loads. V
   and M stay in L1.
4. Compute M for each tile: for each x and block of channels a direct 1x1 convolution with all
   accumulators in registers and four input channels unrolled.
5. Compute the output of a run, one vector at a time: load all x once, add bias, apply ReLU, store m
   pixels.
"""

from collections.abc import Sequence
from fractions import Fraction

from tvm import s_tir, te, tirx

from schedules.isa import Isa
from schedules.winograd.cook_toom import POINTS, Row, minimal_filter
from schedules.winograd.f32_tiles import WinogradTile, axis
from schedules.winograd.sums import Term, even_and_odd, weighted_sum
from schedules.workloads.float import Conv2d

UNROLLED_CHANNELS = 4
"""Input channels in one iteration of the innermost loop; divides every vector."""


def winograd_conv2d(workload: Conv2d, outputs: int, isa: Isa) -> tirx.PrimFunc:
    """The definition of `workload` by F(`outputs`, 3), on the same buffers as `Conv2d.prim_func`.

    `outputs` must divide the extent along the kernel's axis, and there must be at least a vector of
    channels.
    """
    filter_, lanes = minimal_filter(outputs), isa.float_lanes
    vertical, block = axis(workload) == 0, workload.block
    function = workload.prim_func()
    data, weight, bias, _ = (
        te.placeholder(buffer.shape, buffer.dtype, buffer.name) for buffer in function.params
    )
    products, vectors = filter_.products, -(-workload.channels // lanes)
    runs = (
        (workload.height // outputs, workload.width)
        if vertical
        else (workload.height, workload.width // outputs)
    )

    def first(vector: tirx.Var) -> tirx.Expr:
        """The first channel of a vector."""
        return te.min(vector * lanes, workload.channels - lanes)

    def transformed_weight(
        o: tirx.Var, x: tirx.Var, vector: tirx.Var, lane: tirx.Var, v: tirx.Var
    ) -> tirx.Expr:
        channel = first(vector) + lane

        def tap(k: int) -> tirx.Expr:
            return weight[o, k, 0, channel, v] if vertical else weight[o, 0, k, channel, v]

        value = _select(
            x, [weighted_sum(dict(enumerate(row)), tap, _scale) for row in filter_.weight]
        )
        return tirx.Select(channel >= vector * lanes, value, _constant(Fraction(0)))

    def transformed_input(
        x: tirx.Var, h: tirx.Var, w: tirx.Var, vector: tirx.Var, lane: tirx.Var
    ) -> tirx.Expr:
        channel = first(vector) + lane

        def pixel(r: int) -> tirx.Expr:
            if vertical:
                return data[h * outputs + r, w, channel]
            return data[h, w * outputs + r, channel]

        return _select(x, [even_and_odd(row, pixel, _scale) for row in filter_.input])

    u = te.compute(
        (workload.blocks, products, vectors, lanes, block), transformed_weight, "transformed_weight"
    )
    v = te.compute((products, *runs, vectors, lanes), transformed_input, "transformed_input")
    vector, lane = te.reduce_axis((0, vectors), "vector"), te.reduce_axis((0, lanes), "lane")
    m = te.compute(
        (products, workload.blocks, *runs, block),
        lambda x, o, h, w, c: te.sum(
            v[x, h, w, vector, lane] * u[o, x, vector, lane, c], [vector, lane]
        ),
        "product",
    )

    def transformed_output(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
        i = (h if vertical else w) % outputs
        down, across = (h // outputs, w) if vertical else (h, w // outputs)

        def product(x: int) -> tirx.Expr:
            return m[x, o // block, down, across, o % block]

        biased = _select(i, [_by_pairs(row, product) for row in filter_.output]) + bias[o]
        return te.max(biased, _constant(Fraction(0))) if workload.relu else biased

    out = te.compute(
        (workload.height, workload.width, workload.blocks * block), transformed_output, "out"
    )
    return te.create_prim_func([data, weight, bias, out]).with_attrs(dict(function.attrs.items()))


def schedule_winograd(sch: s_tir.Schedule, workload: Conv2d, tile: WinogradTile, isa: Isa) -> None:
    """Schedule `winograd_conv2d(workload, tile.outputs, isa)`, whose runs `tile` divides."""
    weight, data, product, out = (
        sch.get_sblock(name)
        for name in ("transformed_weight", "transformed_input", "product", "out")
    )

    # 1. The weights.
    block, x, channel, inner, vector = sch.get_loops(weight)
    vector, lane = sch.split(vector, [None, isa.float_lanes])
    sch.reorder(block, channel, inner, vector, x, lane)
    sch.unroll(x)
    sch.vectorize(lane)

    # 2. Tiles of runs.
    row, column, channel = sch.get_loops(out)
    if axis(workload) == 0:
        row, pixel = sch.split(row, [None, tile.outputs])
    else:
        column, pixel = sch.split(column, [None, tile.outputs])
    row_tile, row = sch.split(row, [None, tile.runs.rows])
    column_tile, column = sch.split(column, [None, tile.runs.columns])
    vector, lane = sch.split(channel, [None, isa.float_lanes])
    sch.reorder(row_tile, column_tile, row, column, vector, pixel, lane)

    # 4. The products at the tile. (Before 3, because V is computed where M reads it.)
    sch.compute_at(product, column_tile, preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    x, block, run_row, run_column, channel, inner, k = sch.get_loops(product)[2:]
    outer, vectors, lanes = sch.split(channel, [None, tile.runs.vectors, isa.float_lanes])
    k, unrolled = sch.split(k, [None, UNROLLED_CHANNELS])
    sch.reorder(x, block, outer, inner, k, unrolled, run_row, run_column, vectors, lanes)
    sch.vectorize(lanes)
    stored = sch.cache_write(product, 0, "local")
    sch.reverse_compute_at(stored, outer, preserve_unit_loops=True)
    *stored_tile, stored_channel = sch.get_loops(stored)[-3:]
    stored_vector, stored_lane = sch.split(stored_channel, [None, isa.float_lanes])
    sch.vectorize(stored_lane)
    zero = sch.decompose_reduction(product, inner)
    *zero_tile, zero_lane = sch.get_loops(zero)[-4:]
    sch.vectorize(zero_lane)
    for loop in (unrolled, run_row, run_column, vectors, *stored_tile, stored_vector, *zero_tile):
        sch.unroll(loop)

    # 3. The input at the tile.
    sch.compute_at(data, column_tile, preserve_unit_loops=True)
    sch.set_scope(data, 0, "local")
    x, run_row, run_column, channel, data_lane = sch.get_loops(data)[2:]
    sch.reorder(run_row, run_column, channel, x, data_lane)
    sch.unroll(x)
    sch.vectorize(data_lane)

    # 5. The output.
    sch.unroll(pixel)
    sch.vectorize(lane)


def _constant(value: Fraction) -> tirx.Expr:
    return tirx.const(float(value), "float32")


def _select(index: tirx.Expr, values: Sequence[tirx.Expr]) -> tirx.Expr:
    """`values[index]`; unrolling makes `index` a constant, so one value remains."""
    *others, chosen = values
    for position, value in reversed(list(enumerate(others))):
        chosen = tirx.Select(index == position, value, chosen)
    return chosen


def _scale(coefficient: Fraction | int, value: tirx.Expr) -> tirx.Expr:
    return value * _constant(Fraction(coefficient))


def _by_pairs(row: Row, term: Term) -> tirx.Expr:
    """The sum of `row[x] * term(x)`, written with sums and differences of opposite points' terms,
    which rows share.
    """
    points = POINTS[: len(row) - 1]
    parts: dict[int, tirx.Expr] = {}
    for x, point in enumerate(points):
        if point < 0:
            even = row[x] == row[x - 1]
            parts[x - 1] = parts[x - 1] + term(x) if even else parts[x - 1] - term(x)
        else:
            parts[x] = term(x)
    parts[len(points)] = term(len(points))
    return weighted_sum({x: row[x] for x in parts}, parts.__getitem__, _scale)
