"""Register tiles: which part of a convolution's output is accumulated in registers.

A tile is `rows x columns` output pixels times `vectors` vectors of output channels. Each step of
the reduction loads `vectors` weight vectors, broadcasts one input value (or one group of four
int8) per pixel and issues `pixels * vectors` multiply-accumulates, so (Goto and van de Geijn,
"Anatomy of High-Performance Matrix Multiplication", TOMS 2008, section 6):

* the tile needs `pixels * vectors` accumulators, `vectors` registers for weights, one for the
  broadcast, and those that the instruction needs; if they do not fit, the compiler spills;
* two ports with a latency of L cycles need at least `2 * L` independent accumulators;
* with two load ports, loads are the bottleneck unless `pixels + vectors <= pixels * vectors`;
* the weights of a tile are read again for every tile of pixels, so they should stay in L1.

`choose_tile` predicts the cycles of every tile that divides the output and takes the fastest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schedules.isa import Dot4, Isa

L1_BYTES = 32 * 1024
"""Size of the smallest L1D of the targets (Broadwell to Cascade Lake; Ice Lake has 48 KiB)."""
L1_CYCLES, L2_CYCLES = 0.5, 2.0
"""Cycles to load one vector: two a cycle from L1, 32 of its 64 bytes a cycle from L2."""
ADDRESS_ROWS = 4
"""Rows of a tile whose addresses fit the general-purpose registers if everything is unrolled."""
SPILLING_REGISTERS = 3
"""Registers for loading weights from the stack; with fewer, accumulators are spilled too."""
TILE_OVERHEAD = 12.0
"""Cycles of one tile outside its reduction, besides one a vector for bias, ReLU and store."""


@dataclass(frozen=True)
class Tile:
    """A register tile: `rows * columns` pixels times `vectors` vectors of output channels."""

    rows: int
    columns: int
    vectors: int

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    def registers(self, step: "Step") -> int:
        """Vector registers the inner loop names: accumulators, weights, one broadcast, extras."""
        return self.pixels * self.vectors + self.vectors + 1 + step.extra_registers

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} pixels x {self.vectors} vectors"


@dataclass(frozen=True)
class Step:
    """Cost of one multiply-accumulate of a vector on an instruction set."""

    cycles: float
    """Cycles for which it occupies the ports."""
    latency: int
    """Cycles until the next one on the same accumulator can start."""
    extra_registers: int
    """Registers for intermediate values and for the constants of the epilogue."""
    unrolled_steps: int = 0
    """LLVM completely unrolls a reduction of at most this many steps and hoists its weights out of
    the loop over tiles. The weights of one vector of channels stay in registers, those of more than
    two vectors go to the stack, which costs nothing as long as accumulators do not (measured on Ice
    Lake: 20 accumulators in five vectors are 1.2 times as fast as 15 in one, 24 in three 1.5 times
    slower than 12).
    """


def float_step(isa: Isa) -> Step:
    """One FMA; two ports."""
    return Step(0.5, isa.fma_latency, 0)


def integer_step(isa: Isa) -> Step:
    """One dot product of four int8 (`schedules/dot4_intrinsics.py`): one instruction with VNNI,
    else two multiplications and an addition, with registers for a vector of ones and two
    intermediate values.
    """
    if isa.dot4 is Dot4.AVX512_VNNI:
        return Step(0.5, 5, 3, unrolled_steps=9)
    return Step(1.0, 1, 3)


def divisors(extent: int) -> list[int]:
    """All divisors of `extent`, in ascending order."""
    return [divisor for divisor in range(1, extent + 1) if extent % divisor == 0]


def legal_tiles(
    height: int, width: int, steps: int, vectors: int, step: Step, isa: Isa
) -> Iterator[Tile]:
    """Every tile that divides the output (`vectors` vectors of channels) and fits the registers."""
    for rows in divisors(height):
        for columns in divisors(width):
            for block in divisors(vectors):
                tile = Tile(rows, columns, block)
                if tile.registers(step) <= isa.registers and _survives_unrolling(
                    tile, steps, step, isa
                ):
                    yield tile


def _survives_unrolling(tile: Tile, steps: int, step: Step, isa: Isa) -> bool:
    """Whether a reduction that LLVM unrolls completely spills no accumulator."""
    if steps > step.unrolled_steps or tile.vectors == 2:
        return True
    if tile.vectors > 2:
        return tile.registers(step) + SPILLING_REGISTERS <= isa.registers
    hoisted = tile.pixels + steps + 1 + step.extra_registers
    return hoisted <= isa.registers and tile.rows <= ADDRESS_ROWS


def cycles(
    tile: Tile, height: int, width: int, steps: int, vectors: int, step: Step, isa: Isa
) -> float:
    """Predicted cycles of a convolution under `tile`; `steps` is the length of its reduction."""
    weight_bytes = steps * tile.vectors * isa.vector_bytes
    weight_cycles = L1_CYCLES if weight_bytes <= L1_BYTES * 3 // 4 else L2_CYCLES
    compute = tile.pixels * tile.vectors * step.cycles
    load = tile.pixels * L1_CYCLES + tile.vectors * weight_cycles
    reduction = steps * max(compute, load, float(step.latency))
    tiles = height * width // tile.pixels * (vectors // tile.vectors)
    return tiles * (reduction + tile.pixels * tile.vectors + TILE_OVERHEAD)


def choose_tile(
    height: int, width: int, steps: int, out_channels: int, step: Step, isa: Isa
) -> Tile:
    """The tile with the fewest predicted cycles, and the fewest loads among those."""
    vectors = -(-out_channels // isa.float_lanes)

    def cost(tile: Tile) -> tuple[float, ...]:
        predicted = cycles(tile, height, width, steps, vectors, step, isa)
        return predicted, 1 / tile.pixels + 1 / tile.vectors, tile.rows

    return min(legal_tiles(height, width, steps, vectors, step, isa), key=cost)
