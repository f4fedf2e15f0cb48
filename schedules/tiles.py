"""Register tiles: which part of a convolution's output stays in registers, and why.

A tile is `rows x columns` output pixels times `vectors` vectors of output channels. Each step of
the reduction loads `vectors` weight vectors, broadcasts one input value per pixel and does
`pixels * vectors` FMAs, so (Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication", TOMS 2008, section 6):

* the tile lives in `pixels * vectors` accumulators, next to `vectors` weights and one broadcast:
  `pixels * vectors + vectors + 1 <= registers`, or the compiler spills;
* two FMA ports with a latency of L cycles want at least `2 * L` accumulators in flight;
* two load ports want `pixels + vectors <= pixels * vectors`, or loads are the bottleneck;
* the weights of one tile are read again for every tile of pixels, so they had better stay in L1.

`choose_tile` counts those cycles for every tile that divides the output and takes the cheapest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lprnet.targets import Isa

L1_BYTES = 32 * 1024
"""The smallest L1D of the targets (Broadwell to Cascade Lake; Ice Lake has 48 KiB)."""
L1_CYCLES, L2_CYCLES = 0.5, 2.0
"""Cycles to load one vector: two a cycle from L1, 32 of its 64 bytes a cycle from L2."""
TILE_OVERHEAD = 12.0
"""Cycles around one tile's reduction, next to one a vector for bias, ReLU and store."""


@dataclass(frozen=True)
class Tile:
    """A register tile: `rows * columns` pixels times `vectors` vectors of output channels."""

    rows: int
    columns: int
    vectors: int

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def registers(self) -> int:
        """Vector registers the inner loop names: accumulators, weights, one broadcast."""
        return self.pixels * self.vectors + self.vectors + 1

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} pixels x {self.vectors} vectors"


def divisors(extent: int) -> list[int]:
    """All divisors of `extent`, rising."""
    return [divisor for divisor in range(1, extent + 1) if extent % divisor == 0]


def legal_tiles(height: int, width: int, vectors: int, isa: Isa) -> Iterator[Tile]:
    """Every tile that divides the output (`vectors` is its channels, in vectors) and fits."""
    for rows in divisors(height):
        for columns in divisors(width):
            for block in divisors(vectors):
                tile = Tile(rows, columns, block)
                if tile.registers <= isa.registers:
                    yield tile


def cycles(tile: Tile, height: int, width: int, window: int, vectors: int, isa: Isa) -> float:
    """Predicted cycles of a convolution under `tile`; `window` is KH * KW * C."""
    weight_bytes = window * tile.vectors * isa.float_lanes * 4
    weight_cycles = L1_CYCLES if weight_bytes <= L1_BYTES * 3 // 4 else L2_CYCLES
    fma = tile.pixels * tile.vectors / 2
    load = tile.pixels * L1_CYCLES + tile.vectors * weight_cycles
    step = max(fma, load, float(isa.fma_latency))
    tiles = height * width // tile.pixels * (vectors // tile.vectors)
    return tiles * (window * step + tile.pixels * tile.vectors + TILE_OVERHEAD)


def choose_tile(height: int, width: int, window: int, out_channels: int, isa: Isa) -> Tile:
    """The tile with the fewest predicted cycles; fewer loads decide between equals."""
    vectors = -(-out_channels // isa.float_lanes)
    return min(
        legal_tiles(height, width, vectors, isa),
        key=lambda tile: (
            cycles(tile, height, width, window, vectors, isa),
            1 / tile.pixels + 1 / tile.vectors,
            tile.rows,
        ),
    )
