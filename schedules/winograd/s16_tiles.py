"""Chooses between integer Winograd and direct convolution, and the tile, by predicted cycles.

Without VNNI four products of int8 take three instructions on the vector ports, `vpmaddubsw`,
`vpmaddwd` and `vpaddd`; two products of int16 take the last two. So a product costs a third more,
and F(m, 3) needs 3m / (m + 2) times fewer of them. AVX2 has three such ports from Haswell to Ice
Lake (two of them multiply), AVX-512 two. On Broadwell only one multiplies: int8 products take twice
as long and int16 products 1.5 times as long, so Winograd gains more than predicted. With VNNI four
products are one instruction, and Winograd gains nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from schedules.dot4_intrinsics import GROUP
from schedules.isa import Dot4, Isa
from schedules.register_tiles import (
    TILE_OVERHEAD,
    Tile,
    cycles,
    integer_step,
)
from schedules.winograd.cook_toom import TAPS, outputs_along
from schedules.winograd.cook_toom_integer import integer_filter
from schedules.workloads.integer import QuantizedConv2d

PORTS = {Dot4.AVX2: 3, Dot4.AVX512BW: 2}
"""Vector ports that add integers."""
INT16_SHARE, LOAD_CYCLES = 0.85, 0.1
"""Cycles of a product of int16 relative to the port limit of direct kernels, which get less close
to their limit; and the cycles that each load adds.
"""
INPUT_CYCLES, OUTPUT_CYCLES = 0.35, 0.75
"""Cycles to transform one vector of inputs or weights, and of outputs with their requantization,
for each product that is read or written.

All four are measured on Ice Lake with AVX2 and AVX-512BW code: 70 tiles, rms error 5 %.
"""
OUTPUTS = (2, 3, 4, 6)
"""Without F(5, 3), which is never the fastest: it has a point without an opposite and the large
coefficients of F(6, 3).
"""
VECTORS = (1, 2, 4)
"""Vectors of output channels in a tile; LLVM splits other sizes badly."""
MAX_PRODUCT = 255 * 128


@dataclass(frozen=True)
class IntegerWinogradTile:
    """F(`outputs`, 3) with `runs` of that many pixels times `vectors` in a register tile."""

    outputs: int
    runs: int
    vectors: int

    def __str__(self) -> str:
        return f"F({self.outputs},3) on {self.runs} runs x {self.vectors} vectors"


def choose_integer_winograd(
    workload: QuantizedConv2d, direct: Tile, isa: Isa
) -> IntegerWinogradTile | None:
    """The fastest tile, or None if `direct` is faster or there is no legal tile."""
    candidates = {
        tile: integer_winograd_cycles(workload, tile, isa)
        for outputs in OUTPUTS
        for tile in legal_integer_winograd_tiles(workload, outputs, isa)
    }
    best = min(candidates, key=lambda tile: candidates[tile], default=None)
    if best is None or candidates[best] >= direct_cycles(workload, direct, isa):
        return None
    return best


def legal_integer_winograd_tiles(
    workload: QuantizedConv2d, outputs: int, isa: Isa
) -> Iterator[IntegerWinogradTile]:
    """Every tile of F(`outputs`, 3) that fits the registers. There is none if the kernel is
    not 3x1 or 1x3, or skips rows, if `outputs` does not divide its axis, or if a sum can overflow
    int32 before the division.
    """
    kernel = (workload.kernel_height, workload.kernel_width)
    extent = outputs_along(kernel, workload.height, workload.width)
    if isa.dot4 not in PORTS or extent is None or workload.row_stride > 1 or extent % outputs:
        return
    algorithm = integer_filter(outputs)
    if workload.window * MAX_PRODUCT << algorithm.shift >= 2**31:
        return
    grid = workload.height * workload.width // outputs
    for vectors in VECTORS:
        if vectors > _vectors(workload, isa):
            continue
        # Accumulators, weights, one broadcast, one product.
        max_runs = (isa.registers - vectors - 2) // vectors
        for runs in range(1, min(max_runs, grid) + 1):
            yield IntegerWinogradTile(outputs, runs, vectors)


def integer_winograd_cycles(
    workload: QuantizedConv2d, tile: IntegerWinogradTile, isa: Isa
) -> float:
    """Predicted cycles of `workload` under `tile`."""
    products = tile.outputs + TAPS - 1
    steps = workload.channels // 2
    runs = -(-workload.height * workload.width // tile.outputs // tile.runs) * tile.runs
    blocks = -(-_vectors(workload, isa) // tile.vectors)
    accumulators = tile.runs * tile.vectors
    step = INT16_SHARE * accumulators * 2 / PORTS[isa.dot4]
    step += LOAD_CYCLES * (tile.runs + tile.vectors)
    multiplied = runs // tile.runs * blocks * (steps * step + TILE_OVERHEAD)
    weights = steps * tile.vectors * blocks
    inputs = runs * -(-steps // isa.float_lanes)
    outputs = runs * tile.vectors * blocks
    transformed = (weights + inputs) * INPUT_CYCLES + outputs * OUTPUT_CYCLES
    return products * (multiplied + products * transformed)


def direct_cycles(workload: QuantizedConv2d, tile: Tile, isa: Isa) -> float:
    """Predicted cycles of `workload` under the direct `tile`."""
    step = replace(integer_step(isa), cycles=3 / PORTS[isa.dot4])
    shape = (workload.height, workload.width, workload.window // GROUP, _vectors(workload, isa))
    return cycles(tile, *shape, step, isa)


def _vectors(workload: QuantizedConv2d, isa: Isa) -> int:
    """Vectors of output channels, with padding."""
    return workload.blocks * workload.block // isa.float_lanes
