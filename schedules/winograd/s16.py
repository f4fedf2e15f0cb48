"""Exact Winograd convolution of int8 by int16 products: 3x1 and 1x3 kernels without VNNI.

Algorithm: that of `f32.py` with the integer matrices of `cook_toom_integer.py`, so that every stage
is exact. Transformed weights and inputs fit int16, `vpmaddwd` adds pairs of their products to
int32, which may wrap, and the output transform yields `divisor * sum` modulo 2**32. That is
multiplied by the inverse of the divisor's odd part, then shifted right by its even part. The result
is the sum itself, because the sum times the even part fits int32. Then follows the epilogue of
`QuantizedConv2d`, on the same buffers.

Activations and weights may use all 8 bits; nothing saturates.

int8 is widened to int16 without moving values between lanes: of a group of four channels in 32 bits
a mask leaves the even two and a shift the odd two. So the pairs that `vpmaddwd` adds are channels 0
and 2, and 1 and 3, of each group, in weights and inputs. LLVM does not find this in loops over
single values, so this file emits the vectors.

1. Transform the weights once a call, in the order in which stage 4 reads them.
2. Split the runs, and their output channels, into register tiles. The last tile of either starts
   early enough to end with the last run or channel, and so does the last vector of an input's
   groups: they compute some values twice, equally.
3. Transform the inputs of a tile's runs. They and the products of one block stay in L1.
4. Multiply, one pair of channels an iteration: with several, LLVM adds the products before the
   accumulators and spills.
5. Transform the outputs: all products of a run are loaded, m vectors stored.
"""

from collections.abc import Sequence
from fractions import Fraction

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import declare_parameters
from schedules.dot4_intrinsics import GROUP
from schedules.isa import Dot4, Isa
from schedules.winograd.cook_toom import POINTS, TAPS
from schedules.winograd.cook_toom_integer import integer_filter
from schedules.winograd.s16_tiles import IntegerWinogradTile
from schedules.winograd.sums import even_and_odd, weighted_sum
from schedules.workloads.integer import QuantizedConv2d
from schedules.workloads.requantization import requantized

_MULTIPLY_ADD = {
    Dot4.AVX2: "llvm.x86.avx2.pmadd.wd",
    Dot4.AVX512BW: "llvm.x86.avx512.pmaddw.d.512",
}


def integer_winograd_conv2d(
    workload: QuantizedConv2d, tile: IntegerWinogradTile, isa: Isa
) -> tirx.PrimFunc:
    """`workload` by a `tile` of `legal_integer_winograd_tiles`, on the buffers of
    `workload.prim_func()`.
    """
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        data, weight, bias, multiplier, out = declare_parameters(function)
        kernel = _Kernel(workload, tile, isa)
        kernel.transform_weight(weight)
        with T.serial(0, -(-kernel.grid // tile.runs)) as part:
            start = T.bind(tirx.min(part * tile.runs, kernel.grid - tile.runs))
            kernel.transform_input(data, start)
            with T.serial(0, kernel.blocks) as block:
                kernel.multiply(block)
                kernel.transform_output(bias, multiplier, out, start, block)
    return builder.get().with_attrs(dict(function.attrs.items()))


class _Kernel:
    """Emits the stages of one kernel into the function that is being built."""

    def __init__(self, workload: QuantizedConv2d, tile: IntegerWinogradTile, isa: Isa) -> None:
        self.workload, self.tile, self.isa = workload, tile, isa
        self.filter = integer_filter(tile.outputs)
        self.vertical = workload.kernel_height == TAPS
        self.columns = workload.width if self.vertical else workload.width // tile.outputs
        self.grid = workload.height * workload.width // tile.outputs
        self.groups = workload.channels // GROUP
        self.vectors = workload.blocks * workload.block // isa.float_lanes
        self.blocks = -(-self.vectors // tile.vectors)
        self.int16 = f"int16x{2 * isa.float_lanes}"
        self.sums = f"int32x{isa.float_lanes}"
        products, pairs = self.filter.products, 2 * self.groups
        lanes = isa.float_lanes
        self.u = _scratch(self.blocks, products, pairs, tile.vectors, 2 * lanes, dtype="int16")
        self.v = _scratch(products, tile.runs, 2 * pairs, dtype="int16")
        self.m = _scratch(products, tile.runs, tile.vectors * lanes, dtype="int32")

    def first_vector(self, block: tirx.Var) -> tirx.Expr:
        """The first vector of output channels in `block`."""
        return tirx.min(block * self.tile.vectors, self.vectors - self.tile.vectors)

    def pixel(self, run: tirx.Expr, offset: int) -> tuple[tirx.Expr, tirx.Expr]:
        """Row and column of the pixel `offset` along the axis from the start of `run`."""
        row, column = run // self.columns, run % self.columns
        if self.vertical:
            return row * self.tile.outputs + offset, column
        return row, column * self.tile.outputs + offset

    def transform_weight(self, weight: tirx.Buffer) -> None:
        lanes = self.isa.float_lanes
        in_block = self.workload.block // lanes
        byte = tirx.const(8, self.int16)
        with T.serial(0, self.blocks) as block, T.serial(0, self.tile.vectors) as vector:
            place = T.bind(self.first_vector(block) + vector)
            with T.serial(0, self.groups) as group:
                taps = []
                for k in range(TAPS):
                    tap = (k, 0) if self.vertical else (0, k)
                    index = (place // in_block, *tap, group, place % in_block * lanes, 0)
                    taps.append(T.bind(_vector(weight, index, "int8", GROUP * lanes, self.int16)))
                for odd in range(2):
                    half = [T.bind(tap >> byte if odd else (tap << byte) >> byte) for tap in taps]
                    for x, row in enumerate(self.filter.weight):
                        value = weighted_sum(dict(enumerate(row)), half.__getitem__, _scale)
                        at = (block, x, odd * self.groups + group, vector, _span(2 * lanes))
                        T.buffer_store(self.u, value, at)

    def transform_input(self, data: tirx.Buffer, start: tirx.Var) -> None:
        wide = 1
        while 2 * wide <= min(self.isa.float_lanes, self.groups):
            wide *= 2
        uint16 = f"uint16x{2 * wide}"
        byte, low = tirx.const(8, uint16), tirx.const(255, uint16)
        with T.serial(0, self.tile.runs) as run, T.serial(0, -(-self.groups // wide)) as vector:
            group = T.bind(tirx.min(vector * wide, self.groups - wide))
            pixels = []
            for r in range(self.filter.products):
                index = (*self.pixel(start + run, r), GROUP * group)
                pixels.append(T.bind(_vector(data, index, "uint8", GROUP * wide, uint16)))
            for odd in range(2):
                half = [
                    T.bind((pixel >> byte if odd else pixel & low).astype(f"int16x{2 * wide}"))
                    for pixel in pixels
                ]
                at = _span(2 * wide, 2 * (odd * self.groups + group))
                for x, row in enumerate(self.filter.input):
                    value = even_and_odd(row, half.__getitem__, _scale)
                    T.buffer_store(self.v, value, (x, run, at))

    def multiply(self, block: tirx.Var) -> None:
        tile, lanes = self.tile, self.isa.float_lanes
        acc = _scratch(tile.runs, tile.vectors, lanes, dtype="int32", scope="local")
        accumulators = [(run, vector) for run in range(tile.runs) for vector in range(tile.vectors)]
        with T.serial(0, self.filter.products) as x:
            for run, vector in accumulators:
                T.buffer_store(acc, tirx.const(0, self.sums), (run, vector, _span(lanes)))
            with T.serial(0, 2 * self.groups) as pair:
                weights = [
                    T.bind(self.u.vload((block, x, pair, vector, 0), self.int16))
                    for vector in range(tile.vectors)
                ]
                for run in range(tile.runs):
                    two = self.v.vload((x, run, 2 * pair), "int16x2")
                    both = tirx.Broadcast(tirx.reinterpret("int32", two), lanes)
                    inputs = T.bind(tirx.reinterpret(self.int16, both))
                    for vector in range(tile.vectors):
                        product = tirx.call_llvm_pure_intrin(
                            self.sums, _MULTIPLY_ADD[self.isa.dot4], inputs, weights[vector]
                        )
                        total = _wrapped(
                            _wide(acc.vload((run, vector, 0), self.sums)) + _wide(product)
                        )
                        T.buffer_store(acc, total, (run, vector, _span(lanes)))
            for run, vector in accumulators:
                value = acc.vload((run, vector, 0), self.sums)
                T.buffer_store(self.m, value, (x, run, _span(lanes, vector * lanes)))

    def transform_output(
        self,
        bias: tirx.Buffer,
        multiplier: tirx.Buffer,
        out: tirx.Buffer,
        start: tirx.Var,
        block: tirx.Var,
    ) -> None:
        wide = self.tile.vectors * self.isa.float_lanes
        sums, floats = f"int32x{wide}", f"float32x{wide}"
        with T.serial(0, self.tile.runs) as run:
            channel = T.bind(self.first_vector(block) * self.isa.float_lanes)
            loaded = [T.bind(self.m.vload((x, run, 0), sums)) for x in range(self.filter.products)]
            shares = _by_pairs(loaded)
            biases = T.bind(bias.vload((channel,), sums))
            multipliers = T.bind(multiplier.vload((channel,), floats))
            for i, row in enumerate(self.filter.output):
                terms = {
                    x: (added if x + 1 == len(row) or row[x] == row[x + 1] else subtracted)
                    for x, (added, subtracted) in shares.items()
                }
                wide_terms = {x: _wide(term) for x, term in terms.items()}
                multiple = _wrapped(
                    weighted_sum({x: row[x] for x in terms}, wide_terms.__getitem__, _scale)
                )
                inverse = tirx.const(self.filter.inverse, f"int64x{wide}")
                total = _wrapped(_wide(multiple) * inverse) >> self.filter.shift
                qmax = requantized(total + biases, multipliers, self.workload.qmax, wide)
                T.buffer_store(out, qmax, (*self.pixel(start + run, i), _span(wide, channel)))


def _scratch(*shape: int, dtype: str, scope: str = "global") -> tirx.Buffer:
    return T.sblock_alloc_buffer(shape, dtype, scope=scope)


def _vector(
    buffer: tirx.Buffer, index: Sequence[tirx.Expr | int], dtype: str, lanes: int, wider: str
) -> tirx.Expr:
    """`lanes` consecutive 8-bit values, reinterpreted as vector `wider` of 16-bit values."""
    return tirx.reinterpret(wider, buffer.vload(index, f"{dtype}x{lanes}"))


def _span(lanes: int, start: tirx.Expr | int = 0) -> tirx.Expr:
    return tirx.Ramp(start, 1, lanes)


def _wide(value: tirx.Expr) -> tirx.Expr:
    """int32 as int64, so that nothing overflows."""
    return value.astype(str(value.ty.dtype).replace("int32", "int64"))


def _wrapped(value: tirx.Expr) -> tirx.Expr:
    """int64 modulo 2**32 as int32. Needed because TVM tells LLVM that sums and products of int32
    never overflow; of the int64 ones LLVM computes only the low half.
    """
    return value.astype(str(value.ty.dtype).replace("int64", "int32"))


def _scale(coefficient: Fraction | int, value: tirx.Expr) -> tirx.Expr:
    return value * tirx.const(int(coefficient), value.ty.dtype)


def _by_pairs(terms: list[tirx.Expr]) -> dict[int, tuple[tirx.Expr, tirx.Expr]]:
    """Index of the first of two opposite points to the sum and the difference of their terms; the
    term itself, twice, for a point without an opposite.
    """
    points = POINTS[: len(terms) - 1]
    shares: dict[int, tuple[tirx.Expr, tirx.Expr]] = {}
    for x, point in enumerate(points):
        if point < 0:
            one, other = terms[x - 1], terms[x]
            added, subtracted = _wide(one) + _wide(other), _wide(one) - _wide(other)
            shares[x - 1] = T.bind(_wrapped(added)), T.bind(_wrapped(subtracted))
        else:
            shares[x] = terms[x], terms[x]
    shares[len(points)] = terms[-1], terms[-1]
    return shares
