"""Which convolutions share the lanes of their last vector of channels, and in which tiles.

Of 24 output channels in vectors of 16, half of the second vector multiplies zeros. With 8 channels
or fewer left, each gets two lanes, which sum every second group of four inputs; with 4 or fewer,
four lanes. So the last vector takes a half or a quarter of its products, and its sums are added to
each other at the end: 1.5 instructions a pixel. A broadcast of 64 or 128 bits brings its inputs,
which is a load more a pixel. On a Zen 5 core such kernels take 0.80 to 0.86 of the time; on Ice
Lake, where the ports that multiply limit as they do here, loads are as many a cycle.

It is for VNNI. With AVX2 a vector has 8 channels, and widths are multiples of that.
"""

from dataclasses import dataclass

from schedules.dot4_intrinsics import GROUP
from schedules.isa import Dot4, Isa
from schedules.register_tiles import divisors, integer_step
from schedules.workloads.integer import QuantizedConv2d

TEMPORARIES = 4
"""Registers for broadcasts."""
UNROLLED_PRODUCTS = 256
"""LLVM unrolls a reduction of at most this many instructions that multiply and keeps its weights in
registers, as many as there are; with more sums than half of them, sums go to the stack (measured:
24 sums take 2.2 times the time of 12).
"""
OVERHEAD = 12.0
"""Cycles of a tile outside its reduction, besides two a vector of sums."""
ROW_SHARE = 0.02
"""Of the time that another row of a tile costs, for its addresses."""


@dataclass(frozen=True)
class SplitTile:
    """`rows * columns` pixels, times `whole` vectors of channels and one whose channels have
    `parts` lanes each.
    """

    rows: int
    columns: int
    whole: int
    parts: int

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def sums(self) -> int:
        """Vectors of sums."""
        return self.pixels * (self.whole + 1)

    def __str__(self) -> str:
        share = {2: "a half", 4: "a quarter"}[self.parts]
        return f"{self.rows}x{self.columns} pixels x {self.whole} vectors and {share}"


def choose_split(workload: QuantizedConv2d, isa: Isa) -> SplitTile | None:
    """The tile of the fewest predicted cycles, or None where no lane is saved."""
    whole, left = divmod(workload.out_channels, isa.float_lanes)
    if isa.dot4 is not Dot4.AVX512_VNNI or workload.blocks > 1 or not 0 < left <= 8:
        return None
    parts = 2 if left > 4 else 4
    if workload.channels // GROUP < parts:
        return None
    tiles = [
        SplitTile(rows, columns, whole, parts)
        for rows in divisors(workload.height)
        for columns in divisors(workload.width)
    ]
    fitting = [tile for tile in tiles if _fits(tile, workload, isa)]
    return min(fitting, key=lambda tile: split_cycles(tile, workload, isa), default=None)


def steps(workload: QuantizedConv2d, parts: int) -> tuple[int, int]:
    """Of a pixel of the input: steps of `parts` groups of four channels, and groups left."""
    return divmod(workload.channels // GROUP, parts)


def _fits(tile: SplitTile, workload: QuantizedConv2d, isa: Isa) -> bool:
    """Whether all sums stay in registers."""
    taps, (together, left) = _steps(workload, tile.parts)
    products = taps * (together * _products(tile, tile.parts) + left * _products(tile, 1))
    if products <= UNROLLED_PRODUCTS:
        return tile.sums <= isa.registers // 2
    return tile.sums + tile.whole + 1 + TEMPORARIES <= isa.registers


def _steps(workload: QuantizedConv2d, parts: int) -> tuple[int, tuple[int, int]]:
    """The taps of the filter, and what `steps` gives for each."""
    return workload.kernel_height * workload.kernel_width, steps(workload, parts)


def _products(tile: SplitTile, groups: int) -> int:
    """Instructions that multiply in a step of `groups` groups."""
    return tile.pixels * (tile.whole * groups + 1)


def split_cycles(tile: SplitTile, workload: QuantizedConv2d, isa: Isa) -> float:
    """Predicted for the whole convolution: two products and two loads a cycle."""
    taps, (together, left) = _steps(workload, tile.parts)

    def step(groups: int) -> float:
        broadcasts = tile.pixels * ((groups if tile.whole else 0) + 1)
        loads = broadcasts + tile.whole * groups + 1
        latency = float(integer_step(isa).latency)
        return max(_products(tile, groups) / 2, loads / 2, latency)

    reduction = taps * (together * step(tile.parts) + left * step(1))
    tiles = workload.height * workload.width // tile.pixels
    return tiles * (reduction + 2 * tile.sums + OVERHEAD) * (1 + ROW_SHARE * tile.rows)
