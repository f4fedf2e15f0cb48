"""How many requests each process of a service is at, known to all of them.

A connection stays with the process that accepted it. So a client that keeps few of them open may
keep one process busy while another has nothing to do.
"""

import mmap
from pathlib import Path

FILE = "requests_in_progress"
BYTES = 8


def create(folder: Path, processes: int) -> None:
    """The file in `folder` that so many processes share."""
    (folder / FILE).write_bytes(bytes(BYTES * processes))


class Balance:
    """The numbers of all processes; each writes its own alone."""

    def __init__(self, folder: Path, own: int) -> None:
        """Of the process with the number `own`, from 0, which is at no request."""
        with (folder / FILE).open("r+b") as file:
            self._counts = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")  # 64 bits
        self._own = own
        self._counts[own] = 0

    def begin(self) -> None:
        """This process is at one more request."""
        self._counts[self._own] += 1

    def end(self) -> bool:
        """It is at one less. Returns whether another process is at still fewer."""
        self._counts[self._own] -= 1
        return min(self._counts) < self._counts[self._own]
