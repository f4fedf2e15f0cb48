"""Which tiles a convolution uses: pixels of a tile, tiles of channels, pieces of the reduction.

A tile of sums is at most 16 pixels by 16 output channels. What it costs on a core with AMX was
measured with kernels of this kind in C, in cycles:

* 40 for spilling and requantizing 16 pixels, which are taken as 6 and 34 / 16 a pixel (the sum is
  measured, the split is not). Multiplying hides behind that as long as it takes no more: a product
  of up to 64 input bytes takes 16, whatever its bytes. In bfloat16 62, for spilling, converting and
  storing twice the bytes.
* 11 more for each further piece of the reduction; 23 where there are more than six tiles of
  weights, most of which are loaded again for each tile of pixels.
* Loading a tile of activations is nearly free while no row crosses a cache line. If a share f of
  its rows does, it takes about 48 * f ** 2 more, shared by the tiles of sums that it is used for.

So the time of a layer is its tiles, not its multiplications: output channels count in 16s, input
channels are free up to the next piece. `choose_tiles` takes the cheapest cut of both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schedules.amx.instructions import TILE_BYTES, TILE_ROWS
from schedules.dot4_intrinsics import GROUP
from schedules.register_tiles import divisors
from schedules.workloads.tile_conv import COLUMNS, STORED, TiledConv

TILE, FURTHER_PIECE, STREAMED_PIECE, CROSSING = 6.0, 11.0, 23.0, 48.0
PIXEL = {1: 34 / 16, 2: 56 / 16}
"""Cycles, as above; of a pixel by the bytes of a value."""
FEW_WEIGHTS = 6
VECTOR_BYTES = 64


def pixels_at_once(tiles: int, itemsize: int) -> int:
    """Pixels in one vector of results of `itemsize` bytes that come from `tiles` tiles of channels;
    1 where a pixel fills more than a vector.
    """
    return max(1, VECTOR_BYTES // (STORED[tiles] * COLUMNS * itemsize))


def min_width(itemsize: int) -> int:
    """Columns of the narrowest output with results of `itemsize` bytes."""
    return pixels_at_once(1, itemsize)


@dataclass(frozen=True)
class TileGroup:
    """One pass over all pixels: the output channels of `tiles` tiles from tile `first` on."""

    first: int
    tiles: int
    pixels: int
    """Of one tile, all in one row; the last tile of a row starts early enough to end with it."""
    columns: int
    """Tiles in a row."""
    piece: int
    """Bytes of one piece of the reduction, at most 64."""
    pieces: int
    """In one row of the window."""

    def __str__(self) -> str:
        cut = f"{self.pieces} x {self.piece} bytes" if self.pieces > 1 else f"{self.piece} bytes"
        return f"{self.pixels} pixels x {self.tiles} tiles, {cut}"


def choose_tiles(workload: TiledConv) -> tuple[TileGroup, ...]:
    """For each group of channels, the tiles of the fewest predicted cycles."""
    return tuple(
        min(_possible(workload, *group), key=lambda one: (cycles(one, workload), one.pieces))
        for group in workload.groups()
    )


def cycles(group: TileGroup, workload: TiledConv) -> float:
    """Predicted cycles of the pass `group`, on a core with AMX."""
    pieces = workload.kernel_height * group.pieces
    streams = pieces * group.tiles > FEW_WEIGHTS
    further = STREAMED_PIECE if streams else FURTHER_PIECE
    crossing = workload.kernel_height * sum(
        CROSSING * _crossing_rows(group, workload, part) ** 2 for part in range(group.pieces)
    )
    results = TILE + PIXEL[workload.itemsize] * group.pixels
    one = results + further * (pieces - 1) + crossing / group.tiles
    return workload.height * group.columns * group.tiles * one


def _possible(workload: TiledConv, first: int, tiles: int) -> Iterator[TileGroup]:
    at_once = pixels_at_once(tiles, workload.itemsize)
    row_bytes = workload.kernel_width * workload.pixel_bytes
    for pixels in range(at_once, min(TILE_ROWS, workload.width) + 1, at_once):
        for pieces in divisors(row_bytes // GROUP):
            piece = row_bytes // pieces
            if piece <= TILE_BYTES:
                columns = -(-workload.width // pixels)
                yield TileGroup(first, tiles, pixels, columns, piece, pieces)


def _crossing_rows(group: TileGroup, workload: TiledConv, part: int) -> float:
    """The share of rows of piece `part` that cross a cache line, where a row of the image starts at
    one.
    """
    starts = (pixel * workload.pixel_bytes + part * group.piece for pixel in range(TILE_ROWS))
    return sum(start % TILE_BYTES + group.piece > TILE_BYTES for start in starts) / TILE_ROWS
