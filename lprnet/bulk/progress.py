"""How far a job is, on one line of a terminal: plates, rate, shards, and the time that is left."""

import sys
import time

from lprnet.bulk.plan import Extent
from lprnet.runtime.progress_line import ERASE_LINE, REFRESH_SECONDS

FIRST_SECONDS = 2.0
"""Until then there is no rate worth showing."""


class Progress:
    """Nothing is shown where stderr is no terminal."""

    def __init__(self, extent: Extent, shards: int) -> None:
        """Of a run that has `shards` to read of a job of `extent`."""
        self._extent, self._shards = extent, shards
        self._start = self._shown = time.monotonic()
        self._visible = False
        self.plates = 0
        self._done = 0

    def add(self, plates: int) -> None:
        """So many more plates are done."""
        self.plates += plates
        now = time.monotonic()
        late = now - self._start > FIRST_SECONDS and now - self._shown > REFRESH_SECONDS
        if late and sys.stderr.isatty():
            print(ERASE_LINE + self.line(now - self._start), end="", file=sys.stderr, flush=True)
            self._shown, self._visible = now, True

    def end_shard(self, plates: int = 0) -> None:
        """One more shard is done, with `plates` that `add` was not told of."""
        self._done += 1
        self.add(plates)

    def line(self, seconds: float) -> str:
        """What is shown after `seconds`."""
        rate = self.plates / seconds
        line = (
            f"{self.plates:,} plates, {rate:,.0f} a second, {self._done} of {self._shards} shards"
        )
        expected = self._expected()
        if expected is None or not self.plates:
            return line
        left = round(max(0.0, expected - self.plates) / rate)
        return f"{line}, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"

    def _expected(self) -> float | None:
        """About how many plates this run has to read."""
        if self._extent.plates is not None:
            return self._shards * self._extent.plates / max(1, self._extent.shards)
        return self._shards * self.plates / self._done if self._done else None

    def end(self) -> str:
        """What the run came to; the line is taken away."""
        if self._visible:
            print(ERASE_LINE, end="", file=sys.stderr, flush=True)
        seconds = time.monotonic() - self._start
        return f"{self.plates:,} plates in {seconds:.1f} s, {self.plates / seconds:,.0f} a second"
