"""What an integer convolution stores: sums of whole vectors of channels, packed to bytes four
vectors at a time (`pack_bytes.py`), those that lie side by side in memory at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from schedules.isa import Isa
from schedules.pack_bytes import JOINED, packed_bytes
from schedules.workloads.integer import QuantizedConv2d

DENSE = "dense_result"
"""Attribute of a scheduled function whose result's pixels must lie one after another, without other
channels between.
"""

Place = tuple[int, int, int]
"""Row, column and vector of channels within a tile."""


@dataclass(frozen=True)
class PackedResults:
    """Emits the end of a tile of `workload`, whose results fit int16."""

    workload: QuantizedConv2d
    isa: Isa
    multiplier: tirx.Buffer
    out: tirx.Buffer

    def store(
        self,
        places: Sequence[Place],
        sums: Sequence[tirx.Expr],
        start: tuple[tirx.Expr, tirx.Expr],
        channel: tirx.Expr,
    ) -> None:
        """Store the results of the `sums` int32 of all `places`, in the order of memory; the tile's
        first pixel is at `start`, its first channel is `channel`.
        """
        lanes, (row, column) = self.isa.float_lanes, start
        for first in range(0, len(places), JOINED):
            last = first + JOINED
            joined = places[first:last]
            multipliers = [
                self.multiplier.vload((channel + v * lanes,), f"float32x{lanes}")
                for _, _, v in joined
            ]
            packed = T.bind(packed_bytes(sums[first:last], multipliers, self.workload.qmax, lanes))
            for _, run in groupby(enumerate(joined), lambda one: self._bytes_before(*one)):
                numbers, ((r, c, v), *_) = zip(*run, strict=True)
                together = len(numbers) * lanes
                lane = numbers[0] * lanes
                part = tirx.Shuffle([packed], list(range(lane, lane + together)))
                channels = tirx.Ramp(channel + v * lanes, 1, together)
                T.buffer_store(
                    self.out,
                    packed if len(numbers) == JOINED else part,
                    (row + r, column + c, channels),
                )

    def _bytes_before(self, number: int, place: Place) -> tuple[int, int]:
        """Equal for vectors that lie side by side in memory: their row, and the distance from
        vector `number` of a packed one to where it is stored.
        """
        r, c, v = place
        lanes = self.isa.float_lanes
        return r, c * self.workload.padded_channels + v * lanes - number * lanes
