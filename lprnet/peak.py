"""What one core can do at best: FMAs on registers, nothing else.

The kernels' share of it says how much is left to gain. It is measured in the same run as they are,
since clocks differ between machines, instruction sets and hours.
"""

import tvm
from tvm import tirx
from tvm.script import tirx as T

from lprnet.targets import Isa

STEPS = 10_000
OPERANDS = 4
"""Registers left to the two factors and the compiler."""


def fma_loop(isa: Isa) -> tvm.IRModule:
    """`main(x (2,), out (accumulators, lanes))`: `STEPS` times `a = a * x[0] + x[1]` on as many
    vectors as there are registers for; more than latency times ports, so none waits for another.
    """
    vectors, lanes, steps = isa.registers - OPERANDS, isa.float_lanes, STEPS

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


def flops(isa: Isa) -> int:
    """Floating-point operations in one call of `fma_loop`."""
    return 2 * STEPS * (isa.registers - OPERANDS) * isa.float_lanes
