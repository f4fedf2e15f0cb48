"""How far a long run is, on one line of a terminal, and what it came to at the end."""

import sys
import time

PROGRESS_SECONDS, REFRESH_SECONDS = 3.0, 0.2
"""Shorter runs show no progress."""
ERASE_LINE = "\r\x1b[K"


class ProgressLine:
    """A line of stderr that rewrites itself. Nothing of it is shown where stderr is no terminal."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self.decoding = 0.0
        """Seconds of CPU time that threads spent on reading, decoding and resizing files."""
        self._visible = False
        self._start = self._shown = time.perf_counter()
        self._processor = time.process_time()

    def step(self) -> None:
        """One more image is done."""
        self.count += 1
        now = time.perf_counter()
        late = now - self._start > PROGRESS_SECONDS and now - self._shown > REFRESH_SECONDS
        if late and sys.stderr.isatty():
            rate = self.count / (now - self._start)
            line = f"{self.count:,} of {self.total:,} images, {rate:,.0f} a second"
            print(ERASE_LINE + line, end="", file=sys.stderr, flush=True)
            self._shown, self._visible = now, True

    def clear(self) -> None:
        """Take the line away, so that something else can be printed."""
        if self._visible:
            print(ERASE_LINE, end="", file=sys.stderr, flush=True)
            self._visible = False

    def end(self) -> None:
        """What a long run came to."""
        self.clear()
        seconds = time.perf_counter() - self._start
        if seconds > PROGRESS_SECONDS:
            share = self.decoding / (time.process_time() - self._processor)
            print(
                f"{self.count:,} images in {seconds:.1f} s, {self.count / seconds:,.0f} a second; "
                f"{share:.0%} of the processor time went into reading, decoding and resizing files",
                file=sys.stderr,
            )
