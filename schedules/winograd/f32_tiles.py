"""Winograd or direct, and with which tile: the cheaper by counted cycles.

A Winograd convolution (`f32.py`) is m + 2 products of matrices, each a direct 1x1 convolution
on a grid of runs, so `register_tiles.cycles` counts those; around them lie the transforms of pixels
and weights, which loads and stores bound. A pixel's transforms are linear in the channels, its
products quadratic: many channels make Winograd worth it, few do not, nor few pixels for many
weights.
"""

from dataclasses import dataclass

from schedules.isa import Isa
from schedules.register_tiles import Tile, cycles, float_step, legal_tiles
from schedules.winograd.cook_toom import MOST_OUTPUTS, TAPS
from schedules.workloads.float import Conv2d

TRANSFORM_CYCLES = 4.0
"""Cycles a vector of one product takes in a transform, of input, output or weights alike: a load or
a store, some arithmetic, and its share of misses of L1 (measured on Ice Lake: 3.3 to 4.9).
"""


@dataclass(frozen=True)
class WinogradTile:
    """F(`outputs`, 3) with `runs` of that many pixels in a register tile."""

    outputs: int
    runs: Tile

    def __str__(self) -> str:
        runs = self.runs
        return f"F({self.outputs},3) on {runs.rows}x{runs.columns} runs x {runs.vectors} vectors"


MEASURED = {
    ("conv3x1_20x90_32to32", 16): WinogradTile(5, Tile(2, 5, 2)),
    ("conv3x1_18x44_32to16", 16): WinogradTile(6, Tile(1, 11, 1)),
}
"""By kernel and lanes, where the clock on Ice Lake finds a tile more than 2 % faster than the one
that counts the fewest cycles. 45.5 against 48.3 µs for 2x6 runs, found by the search: V and M of 10
runs and their U are 47 KB, of 12 runs 50, and L1 holds 49. In the structured network 15.2 against
16.4 µs for 1x22 runs, of all tiles tried: V, M and U are 33 KB, of 22 runs 50.
"""


def axis(workload: Conv2d) -> int | None:
    """Along which the kernel has its three taps, 0 down and 1 across; None for other kernels."""
    kernel = (workload.kernel_height, workload.kernel_width)
    return {(TAPS, 1): 0, (1, TAPS): 1}.get(kernel)


def choose_winograd(workload: Conv2d, direct: Tile, isa: Isa) -> WinogradTile | None:
    """The cheapest Winograd tile, or None where the `direct` one is cheaper or none is possible.

    Weights are packed for `direct`, so its vectors are a multiple of the tile's.
    """
    candidates = {
        tile: winograd_cycles(workload, tile, isa)
        for outputs in range(2, MOST_OUTPUTS + 1)
        for tile in legal_tiles_of(workload, direct, outputs, isa)
    }
    best = min(candidates, key=lambda tile: candidates[tile], default=None)
    measured = MEASURED.get((workload.name, isa.float_lanes))
    if measured in candidates:
        best = measured
    shape = (workload.height, workload.width, workload.window, _vectors(workload, isa))
    if best is None or candidates[best] >= cycles(direct, *shape, float_step(isa), isa):
        return None
    return best


def legal_tiles_of(workload: Conv2d, direct: Tile, outputs: int, isa: Isa) -> list[WinogradTile]:
    """Every tile of F(`outputs`, 3) that divides the output of `workload` and fits; none where the
    kernel is not 3x1 or 1x3, or has fewer channels than a vector.
    """
    along = axis(workload)
    if along is None or workload.channels < isa.float_lanes:
        return []
    if (workload.height, workload.width)[along] % outputs:
        return []
    shape = (*grid(workload, outputs), workload.channels, _vectors(workload, isa))
    return [
        WinogradTile(outputs, runs)
        for runs in legal_tiles(*shape, float_step(isa), isa)
        if direct.vectors % runs.vectors == 0
    ]


def winograd_cycles(workload: Conv2d, tile: WinogradTile, isa: Isa) -> float:
    """Predicted cycles of `workload` under `tile`."""
    height, width = grid(workload, tile.outputs)
    products = tile.outputs + TAPS - 1
    vectors = _vectors(workload, isa)
    channel_vectors = -(-workload.channels // isa.float_lanes)
    steps = channel_vectors * isa.float_lanes
    one = cycles(tile.runs, height, width, steps, vectors, float_step(isa), isa)
    transformed = height * width * (channel_vectors + vectors) + steps * vectors
    return products * (one + transformed * TRANSFORM_CYCLES)


def grid(workload: Conv2d, outputs: int) -> tuple[int, int]:
    """Runs down and across the output."""
    if axis(workload) == 0:
        return workload.height // outputs, workload.width
    return workload.height, workload.width // outputs


def _vectors(workload: Conv2d, isa: Isa) -> int:
    """Of output channels, filling ones included."""
    return workload.blocks * workload.block // isa.float_lanes
