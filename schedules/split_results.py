"""What a convolution with shared lanes (`split_conv2d.py`) stores.

1. The last vectors of `parts` pixels become one of sums: even lanes plus odd lanes, once or twice.
2. They and the whole vectors are packed to bytes, four at a time.
3. Of two such, 32-bit lanes of four channels each are brought together in the order of memory; the
   channels that pad the last vector are zeros.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from schedules.isa import Isa
from schedules.pack_bytes import JOINED, QUAD, packed_quads
from schedules.split_lanes import SplitTile
from schedules.workloads.integer import QuantizedConv2d

_Quad = tuple[int, int]
"""A pixel of the tile and which four of its channels."""
_Places = Mapping[_Quad, tuple[int, int]]
"""The packed vector and the 32-bit lane where they are; none of channels that only pad."""


@dataclass(frozen=True)
class _Vector:
    """A vector of sums, its multipliers, and what its lanes are."""

    sums: tirx.Expr
    multipliers: tirx.Expr
    quads: Sequence[_Quad]


@dataclass(frozen=True)
class SplitResults:
    """Emits the end of a tile."""

    workload: QuantizedConv2d
    tile: SplitTile
    isa: Isa
    multiplier: tirx.Buffer
    out: tirx.Buffer

    def store(
        self,
        whole: Sequence[Sequence[tirx.Expr]],
        last: Sequence[tirx.Expr],
        row: tirx.Expr,
        column: tirx.Expr,
    ) -> None:
        """Store the results of the tile whose first pixel is at `row` and `column`, of each pixel
        the sums of the `whole` vectors and of the `last` one.
        """
        lanes, columns = self.isa.float_lanes, self.tile.columns
        packed: list[tirx.Expr] = []
        places: dict[_Quad, tuple[int, int]] = {}
        for vectors in (self._joined(last), self._whole(whole)):
            for first in range(0, len(vectors), JOINED):
                part = vectors[first : first + JOINED]
                for v, vector in enumerate(part):
                    for n, quad in enumerate(vector.quads):
                        places.setdefault(quad, (len(packed), JOINED * n + v))
                sums, multipliers = [v.sums for v in part], [v.multipliers for v in part]
                quads = packed_quads(sums, multipliers, self.workload.qmax, lanes)
                packed.append(T.bind(quads))
        for r in range(self.tile.rows):
            left = [
                (r * columns + c, n)
                for c in range(columns)
                for n in range(self.workload.padded_channels // QUAD)
            ]
            while left:
                stored, left = _from_two_vectors(left[:lanes], left[lanes:], places)
                pixel, n = stored[0]
                value = _together(stored, packed, places, lanes)
                bytes_ = tirx.Ramp(n * QUAD, 1, QUAD * len(stored))
                at = (row + r, column + pixel - r * columns, bytes_)
                T.buffer_store(self.out, tirx.reinterpret(f"uint8x{QUAD * len(stored)}", value), at)

    def _whole(self, sums: Sequence[Sequence[tirx.Expr]]) -> list[_Vector]:
        lanes = self.isa.float_lanes
        quads = lanes // QUAD
        return [
            _Vector(
                one,
                self.multiplier.vload((v * lanes,), f"float32x{lanes}"),
                [(pixel, v * quads + n) for n in range(quads)],
            )
            for pixel, of_pixel in enumerate(sums)
            for v, one in enumerate(of_pixel)
        ]

    def _joined(self, last: Sequence[tirx.Expr]) -> list[_Vector]:
        """Step 1. Where pixels are missing, the last one is there again."""
        lanes, parts = self.isa.float_lanes, self.tile.parts
        channels, start = lanes // parts, self.tile.whole * lanes
        own = self.multiplier.vload((start,), f"float32x{channels}")
        multipliers = tirx.Shuffle([own] * parts, list(range(lanes)))
        vectors = []
        for first in range(0, len(last), parts):
            pixels = [min(first + n, len(last) - 1) for n in range(parts)]
            sums = [last[pixel] for pixel in pixels]
            while len(sums) > 1:
                sums = [
                    _pairs_added(left, right, lanes)
                    for left, right in zip(sums[::2], sums[1::2], strict=True)
                ]
            quads = [
                (pixel, (start + channel) // QUAD)
                for pixel in pixels
                for channel in range(0, channels, QUAD)
            ]
            vectors.append(_Vector(T.bind(sums[0]), multipliers, quads))
        return vectors


def _pairs_added(left: tirx.Expr, right: tirx.Expr, lanes: int) -> tirx.Expr:
    """Even lanes plus odd lanes of `left`, then of `right`."""
    even, odd = (
        tirx.Shuffle([left, right], list(range(start, 2 * lanes, 2))) for start in range(2)
    )
    return even + odd


def _from_two_vectors(
    quads: Sequence[_Quad], later: Sequence[_Quad], places: _Places
) -> tuple[list[_Quad], list[_Quad]]:
    """The first of `quads` that are in two vectors at most, and all others."""
    vectors: set[int] = set()
    for n, quad in enumerate(quads):
        vectors |= {places[quad][0]} if quad in places else set()
        if len(vectors) > 2:
            return list(quads[:n]), [*quads[n:], *later]
    return list(quads), list(later)


def _together(
    quads: Sequence[_Quad], packed: Sequence[tirx.Expr], places: _Places, lanes: int
) -> tirx.Expr:
    """int32: `quads` from the two vectors of `packed` that they are in."""
    found = [places.get(quad) for quad in quads]
    vectors = sorted({place[0] for place in found if place is not None})
    order = [0 if place is None else vectors.index(place[0]) * lanes + place[1] for place in found]
    value = tirx.Shuffle([packed[vector] for vector in vectors], order)
    if None not in found:
        return value
    zeros = tirx.const(0, f"int32x{len(quads)}")
    kept = [n if place is not None else len(quads) for n, place in enumerate(found)]
    return tirx.Shuffle([value, zeros], kept)
