"""One process a core, pinned to it, each with a recognizer of its own.

On 16 cores threads of one process reach less than half of what 16 processes do: the interpreter
lock is held around every call of the decoder and the network.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from lprnet.bulk.fatal_images import FATAL
from lprnet.bulk.job import Options
from lprnet.bulk.shard import Done
from lprnet.support.errors import UserError

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""
Work = tuple[int, int]
"""A shard's number and the place of its line in the plan."""


def read_shards(
    work: Iterator[Work],
    folder: Path,
    artifact: Path,
    options: Options,
    progress: Callable[[int], None],
) -> Iterator[Done]:
    """Let one process a core read the shards of `work`, taken as they are needed; yields each
    shard when its files are written.

    Where an image ends a worker, its shard is read again by one that tries each image in a process
    of its own, and the image becomes an error. Raises `UserError` as a worker does, and if one ends
    otherwise before its work. No worker outlives this.
    """
    workers: dict[Connection, _Worker] = {}

    def start(core: int, first: Work, *, warned: bool = False) -> None:
        ours, worker = _start(core, folder, artifact, options)
        workers[ours] = worker
        worker.give(ours, first, warned=warned)

    try:
        for core in sorted(os.sched_getaffinity(0)):
            first = next(work, None)
            if first is None:
                break
            start(core, first)
        while workers:
            for connection in wait(list(workers)):
                assert isinstance(connection, Connection)
                worker = workers[connection]
                try:
                    done = _received(connection, worker, progress)
                except _Fatal:
                    progress(-worker.told)
                    del workers[connection]
                    start(worker.core, worker.work, warned=True)
                    continue
                if done is None:
                    continue
                yield done
                following = next(work, None)
                if following is None:
                    connection.close()  # ends the worker
                    workers.pop(connection).process.join()
                else:
                    worker.give(connection, following)
    finally:
        for worker in workers.values():
            worker.process.kill()
            worker.process.join()


class _Fatal(Exception):
    """A worker was ended by what it read, and nobody has warned it."""


@dataclass
class _Worker:
    """A process and the shard that it is at."""

    process: SpawnProcess
    core: int
    work: Work = (0, 0)
    warned: bool = False
    told: int = 0
    """How many plates of the shard it says are done."""

    def give(self, connection: Connection, work: Work, *, warned: bool = False) -> None:
        self.work, self.warned, self.told = work, warned, 0
        connection.send((work, warned))


def _start(core: int, folder: Path, artifact: Path, options: Options) -> tuple[Connection, _Worker]:
    """A worker that waits for a shard."""
    # Not forked: OpenCV and BLAS have threads, which a fork would not have.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, core, os.getpid(), folder, artifact, options)
    process = context.Process(target=_work, args=arguments, daemon=True)
    process.start()
    theirs.close()
    return ours, _Worker(process, core)


def _received(
    connection: Connection,
    worker: _Worker,
    progress: Callable[[int], None],
) -> Done | None:
    """The shard that a worker has done, if its message says that."""
    try:
        kind, content = connection.recv()
    except (EOFError, OSError) as error:
        worker.process.join()
        code = worker.process.exitcode
        if code is not None and -code in FATAL and not worker.warned:
            raise _Fatal from error
        raise UserError(
            f"a worker process has ended ({_how(code)}); what is written is whole: run the same "
            "command again to go on"
        ) from error
    if kind == "error":
        raise UserError(content)
    if kind == "progress":
        worker.told += content
        progress(content)
        return None
    return Done(*content)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"by {name}, as when memory is short" if code == -signal.SIGKILL else f"by {name}"
    return f"exit code {code}"


def _work(
    connection: Connection,
    core: int,
    parent: int,
    folder: Path,
    artifact: Path,
    options: Options,
) -> None:
    """A worker: shards come in, and what they came to goes out, until the connection is closed."""
    # Ctrl-C goes to every process of a terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    os.sched_setaffinity(0, {core})  # before NumPy and OpenCV count cores

    from lprnet.bulk.shard import ShardReader

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            reader = ShardReader(folder, artifact, options)
            # Plates are many small objects without cycles, and looking for cycles among them costs
            # about 10 us a plate. It is done after each shard, among new objects.
            gc.freeze()
            gc.disable()
            while True:
                place, warned = connection.recv()
                done = reader.read(
                    place, lambda count: connection.send(("progress", count)), warned=warned
                )
                connection.send(("done", tuple(done)))
                gc.collect()
        except UserError as error:
            connection.send(("error", str(error)))
