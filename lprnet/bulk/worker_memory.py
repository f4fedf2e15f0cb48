"""How a process that reads plates for hours keeps its memory."""

import contextlib
import ctypes
import gc

# Of `mallopt` in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 64 << 20
"""More than all arrays of a batch."""


def keep_memory() -> None:
    """Let no cycles be looked for, and what is freed be used again.

    Plates are many small objects without cycles, and looking for cycles among them costs about 10
    us a plate; a worker collects after each shard. Without the second, glibc gives the pages of
    freed arrays back to the kernel and asks for them again: up to one page, 3 us, a plate.
    """
    gc.freeze()
    gc.disable()
    with contextlib.suppress(AttributeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
