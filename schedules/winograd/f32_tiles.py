"""Chooses between Winograd and direct convolution, and the tile, by predicted cycles.

A Winograd convolution (`f32.py`) is m + 2 matrix products, each a direct 1x1 convolution on a grid
of runs, which `register_tiles.cycles` predicts, and the transforms of pixels and weights, which
loads and stores limit. The transforms of a pixel are linear in the channels, its products
quadratic. So Winograd pays off with many channels, but not with few, nor with few pixels for many
weights.
"""

from dataclasses import dataclass

from schedules.isa import Isa
from schedules.register_tiles import Tile, cycles, float_step, legal_tiles
from schedules.winograd.cook_toom import MAX_OUTPUTS, TAPS
from schedules.workloads.float import Conv2d

TRANSFORM_CYCLES = 4.0
"""Cycles of a vector of one product in a transform of inputs, outputs or weights: a load or a
store, some arithmetic, and its share of L1 misses (measured on Ice Lake: 3.3 to 4.9).
"""


@dataclass(frozen=True)
class WinogradTile:
    """F(`outputs`, 3) with a register tile of `runs`, each of `outputs` pixels."""

    outputs: int
    runs: Tile

    def __str__(self) -> str:
        runs = self.runs
        return f"F({self.outputs},3) on {runs.rows}x{runs.columns} runs x {runs.vectors} vectors"


MEASURED_TILES = {
    ("conv3x1_20x90_32to32", 16): WinogradTile(5, Tile(2, 5, 2)),
    ("conv3x1_18x44_32to16", 16): WinogradTile(6, Tile(1, 11, 1)),
}
"""Kernel and lanes to a tile that was measured more than 2 % faster on Ice Lake than the predicted
one. The first takes 45.5 µs, the predicted 2x6 runs 48.3 µs: V, M and U of 10 runs are 47 KB, of 12
runs 50 KB, and L1 holds 49 KB; MetaSchedule found it. The second, in the structured network, takes
15.2 µs, the predicted 1x22 runs 16.4 µs: V, M and U are 33 KB, of 22 runs 50 KB; all tiles were
tried.
"""


def axis(workload: Conv2d) -> int | None:
    """The axis of the kernel's three taps, 0 vertical and 1 horizontal; None for other kernels."""
    kernel = (workload.kernel_height, workload.kernel_width)
    return {(TAPS, 1): 0, (1, TAPS): 1}.get(kernel)


def choose_winograd(workload: Conv2d, direct: Tile, isa: Isa) -> WinogradTile | None:
    """The fastest Winograd tile, or None if `direct` is faster or there is no legal tile.

    Weights are packed for `direct`, so its vectors must be a multiple of the tile's.
    """
    candidates = {
        tile: winograd_cycles(workload, tile, isa)
        for outputs in range(2, MAX_OUTPUTS + 1)
        for tile in legal_winograd_tiles(workload, direct, outputs, isa)
    }
    best = min(candidates, key=lambda tile: candidates[tile], default=None)
    measured = MEASURED_TILES.get((workload.name, isa.float_lanes))
    if measured in candidates:
        best = measured
    shape = (workload.height, workload.width, workload.window, _vectors(workload, isa))
    if best is None or candidates[best] >= cycles(direct, *shape, float_step(isa), isa):
        return None
    return best


def legal_winograd_tiles(
    workload: Conv2d, direct: Tile, outputs: int, isa: Isa
) -> list[WinogradTile]:
    """Every tile of F(`outputs`, 3) that divides the output of `workload` and fits the registers.
    There is none if the kernel is not 3x1 or 1x3, skips rows, or has fewer channels than a vector.
    """
    along = axis(workload)
    if along is None or workload.row_stride > 1 or workload.channels < isa.float_lanes:
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
    """Vectors of output channels, with padding."""
    return workload.blocks * workload.block // isa.float_lanes
