"""The kernel of `SumConv`: pairs of 16-bit sums times pairs of weights.

`vpdpwssd` (AVX-512 VNNI) adds two products of int16 to 32 bits, elsewhere `vpmaddwd` and `vpaddd`
do: twice what an FMA does, or as much.

1. One vector of output channels by as many positions as there are accumulators: a vector of weights
   is widened to 16 bits once for all of them. Positions are cut evenly; the last tile starts early
   enough to end with the last position, and computes some of them twice.
2. Sum one context after another. Its sums become floats and are added to the logits, which lie in
   L1 meanwhile.
"""

from itertools import accumulate, pairwise

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import declare_parameters
from schedules.isa import Dot4, Isa
from schedules.workloads.window_sums import PAIR, SumConv

VNNI = "llvm.x86.avx512.vpdpwssd.512"
MULTIPLY_ADD = {
    Dot4.AVX2: "llvm.x86.avx2.pmadd.wd",
    Dot4.AVX512BW: "llvm.x86.avx512.pmaddw.d.512",
}
RESERVED_REGISTERS = 4
"""For weights, a position's pair, a product and the multiplier."""


def positions_at_once(width: int, isa: Isa) -> int:
    """Positions of a tile, of `width` in a row."""
    tiles = -(-width // (isa.registers - RESERVED_REGISTERS))
    return -(-width // tiles)


def sum_conv(workload: SumConv, isa: Isa) -> tirx.PrimFunc:
    """`workload` on the buffers of `workload.prim_func()`."""
    function = workload.prim_func()
    lanes, positions = isa.float_lanes, positions_at_once(workload.width, isa)
    sums, reals, pairs = f"int32x{lanes}", f"float32x{lanes}", f"int16x{PAIR * lanes}"
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        data, weight, start, multiplier, bias, out = declare_parameters(function)
        acc = T.sblock_alloc_buffer((positions, lanes), "int32", scope="local")

        def context(
            row: tirx.Expr, column: tirx.Expr, channel: tirx.Expr, k: int, first: int, pairs_: int
        ) -> None:
            """Add context `k`, whose pairs of channels begin at `first`, to a tile of logits."""
            for p in range(positions):
                T.buffer_store(acc, start.vload((k, channel), sums), (p, tirx.Ramp(0, 1, lanes)))
            with T.serial(0, pairs_) as pair:
                place = ((first + pair) * workload.out_channels + channel) * PAIR
                weights = T.bind(weight.vload((place,), f"int8x{PAIR * lanes}").astype(pairs))
                for p in range(positions):
                    values = data.vload((row, column + p, (first + pair) * PAIR), f"int16x{PAIR}")
                    both = tirx.Broadcast(tirx.reinterpret("int32", values), lanes)
                    total = _dot(
                        isa, acc.vload((p, 0), sums), tirx.reinterpret(pairs, both), weights
                    )
                    T.buffer_store(acc, total, (p, tirx.Ramp(0, 1, lanes)))
            factor = T.bind(multiplier.vload((k, channel), reals))
            for p in range(positions):
                at = (row, column + p, channel)
                before = out.vload(at, reals) if k else bias.vload((channel,), reals)
                exact = acc.vload((p, 0), sums).astype(reals)
                logits = tirx.call_llvm_pure_intrin(reals, "llvm.fma", exact, factor, before)
                T.buffer_store(out, logits, (*at[:2], tirx.Ramp(channel, 1, lanes)))

        tiles, vectors = -(-workload.width // positions), workload.block // lanes
        ends = list(accumulate(workload.contexts, initial=0))
        with T.serial(0, workload.height) as row, T.serial(0, tiles) as tile:
            column = T.bind(tirx.min(tile * positions, workload.width - positions))
            with T.serial(0, vectors) as vector:
                for k, (first, end) in enumerate(pairwise(ends)):
                    context(row, column, vector * lanes, k, first // PAIR, (end - first) // PAIR)
    return builder.get().with_attrs(dict(function.attrs.items()))


def _dot(isa: Isa, total: tirx.Expr, values: tirx.Expr, weights: tirx.Expr) -> tirx.Expr:
    """`total` and the products of two values each, of all lanes."""
    lanes = f"int32x{isa.float_lanes}"
    if isa.dot4 is Dot4.AVX512_VNNI:
        return tirx.call_llvm_pure_intrin(lanes, VNNI, total, values, weights)
    products = tirx.call_llvm_pure_intrin(lanes, MULTIPLY_ADD[isa.dot4], values, weights)
    return total + products
