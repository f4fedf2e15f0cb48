"""How a process that reads plates for hours keeps its memory."""

import gc

from lprnet.support.freed_memory import keep_freed_arrays


def keep_memory() -> None:
    """Let no cycles be looked for, and what is freed be used again.

    Plates are many small objects without cycles, and looking for cycles among them costs about 10
    us a plate; a worker collects after each shard. Without the second, glibc gives the pages of
    freed arrays back to the kernel and asks for them again: up to one page, 3 us, a plate. The
    largest array of a batch has 10 MB.
    """
    gc.freeze()
    gc.disable()
    keep_freed_arrays()
