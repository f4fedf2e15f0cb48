"""Child processes: how they start, when they end, and how."""

import atexit
import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker

from lprnet.support.errors import UserError
from lprnet.support.scratch_folder import scratch_folder

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""
LONGEST_SOCKET_PATH = 107
"""Bytes, unix(7)."""
SOCKET_NAME = len("/listener-12345678")


def end_with_parent(number: signal.Signals, parent: int | None = None) -> bool:
    """Let this process get the signal `number` when the thread that has started it ends.

    False where the process `parent` is its parent no more, and that signal would never come.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    return parent in (None, os.getppid())


@contextmanager
def signals_later() -> Iterator[None]:
    """What SIGINT and SIGTERM do to this process is done at the end.

    A mask would not do: a thread that blocks neither takes them, and Python's handlers run in the
    main thread all the same. Outside the main thread, which alone runs them, nothing has to wait.
    """
    came: list[int] = []
    handlers: dict[signal.Signals, object] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    handlers[number] = signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        for one in came:
            signal.raise_signal(one)


@contextmanager
def starting_process() -> Iterator[None]:
    """Processes that start in here block SIGINT and SIGTERM from the beginning, even while they
    import; this one takes them at the end. So none is started by half, which would be a traceback
    of its own. What it runs first is `take_sigterm`.
    """
    resource_tracker.ensure_running()  # it unblocks SIGINT where it starts
    with signals_later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_sigterm() -> None:
    """Let SIGTERM end this process, which was started within `starting_process`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def keep_sockets_in_scratch() -> None:
    """Let multiprocessing's sockets of this process, and of those that it starts, lie in a scratch
    folder: their own folders would stay for good where they are killed. multiprocessing has no
    public name for the folder.

    Raises `UserError` where the path of the system's folder of temporary files is too long.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is not None:
        return
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        if len(os.fsencode(folder)) + SOCKET_NAME > LONGEST_SOCKET_PATH:
            raise UserError(
                f"{folder.parent}: the path is too long for the sockets of processes; set TMPDIR "
                "to a shorter one"
            )
        config["tempdir"] = str(folder)
        atexit.register(stack.pop_all().close)


def how_it_ended(code: int) -> str:
    """The exit code of a process in words, or the signal that has ended it."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
