"""Keeps memory that was freed for what is allocated next.

The activations of a hundred images are tensors of 100 MB. The C library takes memory of that size
from Linux for each tensor and gives it back afterwards; Linux fills every page with zeros first. Of
49 s of CPU time that the static quantization of the default model took, that was 17.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Parameters of glibc's `mallopt`; of other C libraries there is none, or it does nothing."""
MAX_MMAP_THRESHOLD = 32 << 20
"""Bytes; where glibc's own adjustment ends, which ends for ever when a parameter is set. Older
versions take no larger one."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within, also as a decorator, what is freed stays with this process, up to 2 GB."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(MMAP_MAX, 0)
    libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(MMAP_MAX, 65_536)
        keep_freed_arrays()
        libc.malloc_trim(0)


def keep_freed_arrays() -> None:
    """From now on arrays of less than 32 MB stay with this process when they are freed, up to 64 MB
    of them.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(MMAP_THRESHOLD, MAX_MMAP_THRESHOLD)
        libc.mallopt(TRIM_THRESHOLD, 2 * MAX_MMAP_THRESHOLD)
