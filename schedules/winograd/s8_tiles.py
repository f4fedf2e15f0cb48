"""Chooses between byte Winograd and direct convolution with VNNI, and a tile, by predicted cycles.

F(2, 3) takes two thirds of the products (`s8.py`). What it adds is the transform of the inputs, and
two additions for each vector of two outputs. Measured on Zen 5, LPRNet's layers of 32 and 64
channels take 0.72 to 0.76 of the direct kernels' time. Where channels share the lanes of a vector
(`split_lanes.py`), which it does not do, it is seldom faster.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schedules.dot4_intrinsics import GROUP
from schedules.isa import Dot4, Isa
from schedules.register_tiles import L1_CYCLES, TILE_OVERHEAD, Tile, cycles, divisors, integer_step
from schedules.split_lanes import choose_split, split_cycles
from schedules.winograd.cook_toom import TAPS, outputs_along
from schedules.workloads.integer import QuantizedConv2d

OUTPUTS, PRODUCTS = 2, 4
"""Of F(2, 3)."""
INPUT_BYTES, INPUT_CYCLES = 64, 3.5
"""A vector of inputs, and the cycles to transform those of a pair: seven operations, two a cycle.
"""
WEIGHT_CYCLES = 13.0
"""Cycles to transform a vector of weights of four inputs: measured on Zen 5 at 256 channels.
"""


@dataclass(frozen=True)
class ByteWinogradTile:
    """F(2, 3): `pairs` of outputs along the filter's axis, times `vectors` of output channels."""

    pairs: int
    vectors: int

    @property
    def sums(self) -> int:
        """Vectors of sums."""
        return OUTPUTS * self.pairs * self.vectors

    def __str__(self) -> str:
        return f"F({OUTPUTS},{TAPS}) on {self.pairs} pairs x {self.vectors} vectors, in bytes"


def choose_byte_winograd(
    workload: QuantizedConv2d, direct: Tile, isa: Isa
) -> ByteWinogradTile | None:
    """The fastest tile, or None if a direct kernel is faster or there is no legal tile."""
    tiles = legal_byte_winograd_tiles(workload, isa)
    predicted = {tile: byte_winograd_cycles(workload, tile, isa) for tile in tiles}
    best = min(predicted, key=lambda tile: predicted[tile], default=None)
    if best is None:
        return None
    steps, vectors = workload.window // GROUP, workload.padded_channels // isa.float_lanes
    shape = (workload.height, workload.width, steps, vectors)
    others = [cycles(direct, *shape, integer_step(isa), isa)]
    split = choose_split(workload, isa)
    if split is not None:
        others.append(split_cycles(split, workload, isa))
    return best if predicted[best] < min(others) else None


def legal_byte_winograd_tiles(workload: QuantizedConv2d, isa: Isa) -> Iterator[ByteWinogradTile]:
    """Every tile that fits the registers. There is none without VNNI, if it would not be exact
    (`QuantizedConv2d.exact_winograd`) or its results may not fit int16, if rows are skipped, or if
    outputs do not come in pairs along the filter's axis.
    """
    known = workload.exact_winograd and workload.int16_results
    if isa.dot4 is not Dot4.AVX512_VNNI or not known or workload.row_stride > 1:
        return
    kernel = (workload.kernel_height, workload.kernel_width)
    extent = outputs_along(kernel, workload.height, workload.width)
    if extent is None or extent % OUTPUTS:
        return
    for vectors in divisors(workload.padded_channels // isa.float_lanes):
        for pairs in range(1, _pairs(workload) + 1):
            tile = ByteWinogradTile(pairs, vectors)
            registers = tile.sums + vectors + 1 + integer_step(isa).extra_registers
            if registers > isa.registers:
                break
            yield tile


def byte_winograd_cycles(workload: QuantizedConv2d, tile: ByteWinogradTile, isa: Isa) -> float:
    """Predicted cycles of `workload` under `tile`."""
    step = integer_step(isa)
    loads = OUTPUTS * (tile.pairs + tile.vectors) * L1_CYCLES
    reduction = workload.channels // GROUP * max(tile.sums * step.cycles, loads, step.latency)
    of_tile = PRODUCTS // OUTPUTS * reduction + 1.5 * tile.sums + TILE_OVERHEAD
    strips = workload.height * workload.width // OUTPUTS // _pairs(workload)
    blocks = workload.padded_channels // isa.float_lanes // tile.vectors
    inputs = _pairs(workload) * -(-workload.channels // INPUT_BYTES) * INPUT_CYCLES
    tiles = blocks * -(-_pairs(workload) // tile.pairs)
    weights = blocks * tile.vectors * workload.channels // GROUP * WEIGHT_CYCLES
    return weights + strips * (tiles * of_tile + inputs)


def _pairs(workload: QuantizedConv2d) -> int:
    """Pairs of outputs in a row, or in two rows if the filter is vertical."""
    vertical = workload.kernel_height == TAPS
    return workload.width if vertical else workload.width // OUTPUTS
