"""Winograd convolution of bytes in exact integers: 3x1 and 1x3 kernels on CPUs without VNNI.

Algorithm: that of `f32.py` with the matrices of `cook_toom_integer.py`, which are whole, so that
every stage is exact: transformed weights and inputs of any bytes fit int16, `vpmaddwd` adds pairs
of their products to int32, which may wrap, and the output transform yields `divisor * sum` modulo
2**32. Multiplying that by the inverse of the divisor's odd part and shifting out the even one gives
the sum itself, for a sum times the even part fits int32. Then the epilogue of `QuantizedConv2d`, on
the same buffers.

Activations and weights may use all 8 bits: nothing here saturates.

Words are made from bytes without moving them between lanes: of a group of four channels in 32 bits,
the even two are what a mask leaves and the odd two what a shift leaves. So the pairs that
`vpmaddwd` adds are channels 0 and 2, and 1 and 3, of each group, in weights and inputs alike. LLVM
does not find that in loops over single bytes, so the vectors are written out here.

1. Weights once a call, in the order in which the products meet them.
2. Cut the runs, and their output channels, into register tiles. The last tile of either starts
   early enough to end with the last one, and so does the last vector of an input's groups: what
   they compute again is equal.
3. The inputs of a tile's runs. They, and the products of one block of channels, stay in L1.
4. Each product at the tile. One pair of channels a turn: of several, LLVM adds the products before
   the accumulators, and spills.
5. The outputs: all products of a run loaded, m vectors stored.
"""

from collections.abc import Callable, Sequence

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.dot4_intrinsics import GROUP
from schedules.isa import Dot4, Isa
from schedules.winograd.cook_toom import POINTS, TAPS
from schedules.winograd.cook_toom_integer import Row, integer_filter
from schedules.winograd.s16_tiles import IntegerWinogradTile
from schedules.workloads.integer import QuantizedConv2d, to_levels

Term = Callable[[int], tirx.Expr]

_MULTIPLY_ADD = {
    Dot4.AVX2: "llvm.x86.avx2.pmadd.wd",
    Dot4.AVX512BW: "llvm.x86.avx512.pmaddw.d.512",
}


def integer_winograd_conv2d(
    workload: QuantizedConv2d, tile: IntegerWinogradTile, isa: Isa
) -> tirx.PrimFunc:
    """`workload` under a `tile` of `legal_tiles_of`, on the buffers of `workload.prim_func()`."""
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        data, weight, bias, multiplier, out = (
            T.arg(buffer.name, T.buffer(buffer.shape, str(buffer.dtype), layout=None))
            for buffer in function.params
        )
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
        self.words = f"int16x{2 * isa.float_lanes}"
        self.sums = f"int32x{isa.float_lanes}"
        products, pairs = self.filter.products, 2 * self.groups
        lanes = isa.float_lanes
        self.u = _scratch(self.blocks, products, pairs, tile.vectors, 2 * lanes, dtype="int16")
        self.v = _scratch(products, tile.runs, 2 * pairs, dtype="int16")
        self.m = _scratch(products, tile.runs, tile.vectors * lanes, dtype="int32")

    def first_vector(self, block: tirx.Var) -> tirx.Expr:
        """Of output channels, in `block`."""
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
        byte = tirx.const(8, self.words)
        with T.serial(0, self.blocks) as block, T.serial(0, self.tile.vectors) as vector:
            place = T.bind(self.first_vector(block) + vector)
            with T.serial(0, self.groups) as group:
                taps = []
                for k in range(TAPS):
                    tap = (k, 0) if self.vertical else (0, k)
                    index = (place // in_block, *tap, group, place % in_block * lanes, 0)
                    taps.append(T.bind(_vector(weight, index, "int8", GROUP * lanes, self.words)))
                for odd in range(2):
                    half = [T.bind(tap >> byte if odd else (tap << byte) >> byte) for tap in taps]
                    for x, row in enumerate(self.filter.weight):
                        value = _sum(dict(enumerate(row)), half.__getitem__)
                        at = (block, x, odd * self.groups + group, vector, _span(2 * lanes))
                        T.buffer_store(self.u, value, at)

    def transform_input(self, data: tirx.Buffer, start: tirx.Var) -> None:
        wide = 1
        while 2 * wide <= min(self.isa.float_lanes, self.groups):
            wide *= 2
        words = f"uint16x{2 * wide}"
        byte, low = tirx.const(8, words), tirx.const(255, words)
        with T.serial(0, self.tile.runs) as run, T.serial(0, -(-self.groups // wide)) as vector:
            group = T.bind(tirx.min(vector * wide, self.groups - wide))
            pixels = []
            for r in range(self.filter.products):
                index = (*self.pixel(start + run, r), GROUP * group)
                pixels.append(T.bind(_vector(data, index, "uint8", GROUP * wide, words)))
            for odd in range(2):
                half = [
                    T.bind((pixel >> byte if odd else pixel & low).astype(f"int16x{2 * wide}"))
                    for pixel in pixels
                ]
                at = _span(2 * wide, 2 * (odd * self.groups + group))
                for x, row in enumerate(self.filter.input):
                    value = _even_and_odd(row, half.__getitem__)
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
                    T.bind(self.u.vload((block, x, pair, vector, 0), self.words))
                    for vector in range(tile.vectors)
                ]
                for run in range(tile.runs):
                    two = self.v.vload((x, run, 2 * pair), "int16x2")
                    both = tirx.Broadcast(tirx.reinterpret("int32", two), lanes)
                    inputs = T.bind(tirx.reinterpret(self.words, both))
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
                multiple = _wrapped(_sum({x: row[x] for x in terms}, wide_terms.__getitem__))
                inverse = tirx.const(self.filter.inverse, f"int64x{wide}")
                total = _wrapped(_wide(multiple) * inverse) >> self.filter.shift
                levels = to_levels(total + biases, multipliers, self.workload.levels, wide)
                T.buffer_store(out, levels, (*self.pixel(start + run, i), _span(wide, channel)))


def _scratch(*shape: int, dtype: str, scope: str = "global") -> tirx.Buffer:
    return T.sblock_alloc_buffer(shape, dtype, scope=scope)


def _vector(
    buffer: tirx.Buffer, index: Sequence[tirx.Expr | int], dtype: str, bytes_: int, words: str
) -> tirx.Expr:
    """Consecutive bytes, as words."""
    return tirx.reinterpret(words, buffer.vload(index, f"{dtype}x{bytes_}"))


def _span(lanes: int, start: tirx.Expr | int = 0) -> tirx.Expr:
    return tirx.Ramp(start, 1, lanes)


def _wide(value: tirx.Expr) -> tirx.Expr:
    """int32 as int64, in which nothing overflows."""
    return value.astype(str(value.ty.dtype).replace("int32", "int64"))


def _wrapped(value: tirx.Expr) -> tirx.Expr:
    """int64 modulo 2**32 as int32. TVM tells LLVM that sums and products of int32 never overflow;
    of these it computes the low half alone.
    """
    return value.astype(str(value.ty.dtype).replace("int64", "int32"))


def _times(coefficient: int, value: tirx.Expr) -> tirx.Expr:
    return value if coefficient == 1 else value * tirx.const(coefficient, value.ty.dtype)


def _sum(row: dict[int, int], term: Term) -> tirx.Expr:
    """The sum of `row[i] * term(i)`."""
    (first, coefficient), *others = [(i, entry) for i, entry in row.items() if entry]
    total = _times(coefficient, term(first))
    for i, coefficient in others:
        product = _times(abs(coefficient), term(i))
        total = total + product if coefficient > 0 else total - product
    return total


def _even_and_odd(row: Row, term: Term) -> tirx.Expr:
    """The sum of `row[i] * term(i)` by halves that the rows of opposite points share, as in
    `f32.py`.
    """
    last = max(i for i, coefficient in enumerate(row) if coefficient)
    leading = _sum({i: row[i] for i in range(last, -1, -2)}, term)
    other = {i: row[i] for i in range(last - 1, -1, -2) if row[i]}
    if not other:
        return leading
    if next(iter(other.values())) > 0:
        return leading + _sum(other, term)
    return leading - _sum({i: -coefficient for i, coefficient in other.items()}, term)


def _by_pairs(terms: list[tirx.Expr]) -> dict[int, tuple[tirx.Expr, tirx.Expr]]:
    """Sums and differences of opposite points' terms, by the first of the two; a term of its own
    twice.
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
