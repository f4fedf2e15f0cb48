"""Child processes: when they end, and how."""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def end_with_parent(number: signal.Signals, parent: int | None = None) -> bool:
    """Let this process get the signal `number` when the thread that has started it ends.

    False where the process `parent` is its parent no more, and that signal would never come.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    return parent in (None, os.getppid())


@contextmanager
def signals_later() -> Iterator[None]:
    """Processes that start in here block SIGINT and SIGTERM from the beginning, even while they
    import; this thread takes what came to it meanwhile at the end. So no process is started by
    half, which would be a traceback of its own. What it runs first is `take_sigterm`.
    """
    resource_tracker.ensure_running()  # it unblocks SIGINT where it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_sigterm() -> None:
    """Let SIGTERM end this process, which was started within `signals_later`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def how_it_ended(code: int) -> str:
    """The exit code of a process in words, or the signal that has ended it."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
