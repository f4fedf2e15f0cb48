"""The peak throughput of one core: loops of multiply-accumulates on registers.

A kernel's share of the peak says how much is left to gain. The peak is measured in the same run as
the kernels, because clocks differ between machines, instruction sets and hours.
"""

from collections.abc import Callable

import tvm
from tvm import tirx
from tvm.script import tirx as T

from schedules.dot4_intrinsics import GROUP, MULTIPLY_ADD, VNNI
from schedules.isa import Dot4, Isa

STEPS = 10_000
RESERVED_REGISTERS = 4
"""Registers left to the two factors and the compiler."""

_Dot = Callable[[tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr]
"""Sums, the number of the step and a factor, all vectors, to new sums."""


def fma_loop(isa: Isa) -> tvm.IRModule:
    """`main(x (2,), out (accumulators, lanes))`: `STEPS` times `a = a * x[0] + x[1]` on as many
    vectors as there are registers for; more than latency times ports, so none waits for another.
    """
    vectors, lanes, steps = isa.registers - RESERVED_REGISTERS, isa.float_lanes, STEPS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def main(x: T.handle, result: T.handle) -> None:
        factors = T.match_buffer(x, (2,))
        out = T.match_buffer(result, (vectors, lanes))
        acc = T.alloc_buffer((vectors, lanes), "float32", scope="local")
        for v in T.unroll(vectors):
            for lane in T.vectorized(lanes):
                acc[v, lane] = T.float32(0)
        for _step in range(steps):
            for v in T.unroll(vectors):
                for lane in T.vectorized(lanes):
                    acc[v, lane] = acc[v, lane] * factors[0] + factors[1]
        for v in T.unroll(vectors):
            for lane in T.vectorized(lanes):
                out[v, lane] = acc[v, lane]

    function: tirx.PrimFunc = main
    return tvm.IRModule({"main": function})


def dot4_loop(isa: Isa) -> tvm.IRModule:
    """`main(x (rows, 4 * lanes) int8, out (accumulators, lanes) int32)`: `STEPS` times the dot
    products of four int8 that `isa` has (`schedules/dot4_intrinsics.py`).
    """
    lanes = isa.float_lanes
    sums, pair_sums, factors = f"int32x{lanes}", f"int16x{2 * lanes}", f"int8x{4 * lanes}"

    def vnni(total: tirx.Expr, _number: tirx.Expr, factor: tirx.Expr) -> tirx.Expr:
        return tirx.call_llvm_pure_intrin(sums, VNNI, total, factor, factor)

    def multiply_add(total: tirx.Expr, number: tirx.Expr, factor: tirx.Expr) -> tirx.Expr:
        int8_to_int16, int16_to_int32 = MULTIPLY_ADD[isa.dot4]
        own = tirx.reinterpret(factors, number)
        pairs = tirx.call_llvm_pure_intrin(pair_sums, int8_to_int16, own, factor)
        ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * lanes)
        return total + tirx.call_llvm_pure_intrin(sums, int16_to_int32, pairs, ones)

    if isa.dot4 is Dot4.AVX512_VNNI:
        return _dot_loop(isa, vnni, "int8", GROUP, 1, isa.registers - RESERVED_REGISTERS)
    return _dot_loop(isa, multiply_add, "int8", GROUP, _halved(isa), _halved(isa))


def dot2_loop(isa: Isa) -> tvm.IRModule:
    """`main(x (accumulators, 2 * lanes) int16, out (accumulators, lanes) int32)`: `STEPS` times the
    dot products of two int16: `vpmaddwd` and an addition, which LLVM fuses where there is VNNI.
    """
    lanes = isa.float_lanes
    _, int16_to_int32 = MULTIPLY_ADD.get(isa.dot4, MULTIPLY_ADD[Dot4.AVX512BW])

    def multiply_add(total: tirx.Expr, number: tirx.Expr, factor: tirx.Expr) -> tirx.Expr:
        own = tirx.reinterpret(f"int16x{2 * lanes}", number)
        return total + tirx.call_llvm_pure_intrin(f"int32x{lanes}", int16_to_int32, own, factor)

    return _dot_loop(isa, multiply_add, "int16", 2, _halved(isa), _halved(isa))


def _dot_loop(isa: Isa, dot: _Dot, dtype: str, group: int, rows: int, vectors: int) -> tvm.IRModule:
    """`STEPS` times `acc[v] = dot(acc[v], number of the step, x[v % rows])` for each of `vectors`.

    A dot product in one instruction needs as many accumulators as `fma_loop`. Where multiplication
    and addition are separate, only the addition depends on the previous step, so half the registers
    hold factors instead: each accumulator gets its own vector of `x`, or the compiler would compute
    one product for all.
    """
    lanes, steps = isa.float_lanes, STEPS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def main(x: T.handle, result: T.handle) -> None:
        factor = T.match_buffer(x, (rows, group * lanes), dtype)
        out = T.match_buffer(result, (vectors, lanes), "int32")
        acc = T.alloc_buffer((vectors, lanes), "int32", scope="local")
        number = T.alloc_buffer((lanes,), "int32", scope="local")
        number[T.ramp(0, 1, lanes)] = T.broadcast(T.int32(0), lanes)
        for v in T.unroll(vectors):
            acc[v, T.ramp(0, 1, lanes)] = T.broadcast(T.int32(0), lanes)
        for _step in range(steps):
            for v in T.unroll(vectors):
                acc[v, T.ramp(0, 1, lanes)] = dot(
                    acc[v, T.ramp(0, 1, lanes)],
                    number[T.ramp(0, 1, lanes)],
                    factor[v % rows, T.ramp(0, 1, group * lanes)],
                )
            number[T.ramp(0, 1, lanes)] = number[T.ramp(0, 1, lanes)] + T.broadcast(1, lanes)
        for v in T.unroll(vectors):
            out[v, T.ramp(0, 1, lanes)] = acc[v, T.ramp(0, 1, lanes)]

    function: tirx.PrimFunc = main
    return tvm.IRModule({"main": function})


def _halved(isa: Isa) -> int:
    """How many accumulators fit the registers together with as many factors."""
    return (isa.registers - RESERVED_REGISTERS) // 2


def operations(loop: tvm.IRModule) -> int:
    """Multiplications and additions in one call of a loop of this file."""
    factor, out = loop["main"].params
    accumulators, lanes = (int(extent) for extent in out.shape)
    group = 1 if str(factor.dtype) == "float32" else int(factor.shape[1]) // lanes
    return 2 * STEPS * accumulators * lanes * group
