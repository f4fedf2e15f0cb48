"""Processes that import TVM once and then run one call after another.

A call that crashes or hangs ends its own process only. The next call gets a new process, forked
within milliseconds from a server that has imported everything (`worker_preload.py`). A process is
replaced after `CALLS_PER_PROCESS` calls, which bounds TVM's memory leaks.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from lprnet.support.child_process import (
    end_with_parent,
    keep_sockets_in_scratch,
    starting_process,
    take_sigterm,
)

CALLS_PER_PROCESS = 100
STARTING = 120.0
"""Seconds that a process may take to start; the first waits for the server's imports."""

ENDING = 10.0
"""Seconds to wait for a process that was killed; the kernel may keep it longer, in a page fault or
a read that cannot be interrupted, and nothing depends on its end.
"""

SLICE = 1.0
"""Most seconds that one wait counts towards a call's timeout. So the time for which the tuner
itself is stopped (Ctrl-Z, a suspended laptop) does not time out the calls in progress.
"""

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Failure:
    """Why a call has no result."""

    reason: str


class WorkerPool:
    """A fixed number of processes, pinned to `cores` if given.

    Use as a context manager; leaving it ends the processes. Raises `UserError` where the path of
    the folder of temporary files is too long for sockets.
    """

    def __init__(self, count: int, cores: frozenset[int] | None = None) -> None:
        _context.set_forkserver_preload(["lprnet.tuning.measurement.worker_preload"])
        keep_sockets_in_scratch()
        self._workers = [_Worker(cores) for _ in range(count)]

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.stop()

    def map(
        self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], timeout: float
    ) -> list[Any]:
        """`function(*call)` for each of `calls`, or a `Failure` if it raised an exception, its
        process died, or it took more than `timeout` seconds while this process ran. `function`
        must be at the top level of a module; arguments and results are pickled.
        """
        results: list[Any] = [None] * len(calls)
        waiting = list(enumerate(calls))[::-1]
        busy: dict[Connection, tuple[_Worker, int]] = {}
        idle = list(self._workers)
        while waiting or busy:
            while waiting and idle:
                index, call = waiting.pop()
                worker = idle.pop()
                busy[worker.submit(function, call, timeout)] = (worker, index)
            before = time.monotonic()
            ready = set(wait(busy, min(SLICE, *(worker.remaining for worker, _ in busy.values()))))
            passed = min(SLICE, time.monotonic() - before)
            for connection, (worker, index) in list(busy.items()):
                worker.remaining -= passed
                if connection in ready or worker.remaining <= 0:
                    results[index] = worker.collect(connection in ready)
                    del busy[connection]
                    idle.append(worker)
        return results


class _Worker:
    """One process at a time."""

    def __init__(self, cores: frozenset[int] | None) -> None:
        self._cores = cores
        self._process: ForkServerProcess | None = None
        self._connection: Connection
        self._calls = 0
        self.remaining = 0.0

    def submit(
        self, function: Callable[..., Any], call: tuple[Any, ...], timeout: float
    ) -> Connection:
        """Start `function(*call)`; the connection is ready when it has ended."""
        if self._process is None or self._calls >= CALLS_PER_PROCESS:
            self.stop()
            self._start()
        self._calls += 1
        self.remaining = timeout
        with contextlib.suppress(OSError):  # it died between two calls; collect() reports that
            self._connection.send((function, call))
        return self._connection

    def collect(self, ready: bool) -> Any:
        """The result of the call that `submit` started; `ready` is False if it timed out."""
        if not ready:
            self.stop()
            return Failure("timed out")
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join(ENDING)
            code = self._process.exitcode
            self.stop()
            return Failure(f"its process died with exit code {code}")

    def stop(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join(ENDING)
            self._connection.close()
            self._process = None

    def _start(self) -> None:
        self._connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, self._cores), daemon=True)
        with starting_process():  # also while the server of processes imports
            self._process.start()
        theirs.close()
        self._calls = 0
        if not self._connection.poll(STARTING):
            raise RuntimeError(f"a worker process did not start within {STARTING:.0f} s")
        try:
            self._connection.recv()
        except EOFError as error:
            raise RuntimeError("a worker process ended while it started") from error


def _serve(connection: Connection, cores: frozenset[int] | None) -> None:
    """Run calls until the parent closes the connection. The output of compilers is discarded."""
    end_with_parent(signal.SIGKILL)  # even in an endless loop
    take_sigterm()
    if cores is not None:
        os.sched_setaffinity(0, cores)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    connection.send("ready")
    while True:
        try:
            function, call = connection.recv()
        except EOFError:
            return
        try:
            result = function(*call)
        except Exception as error:
            result = Failure(f"{type(error).__name__}: {error}")
        connection.send(result)
