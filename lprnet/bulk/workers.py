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
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

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

    Raises `UserError` as a worker does, and if one ends before its work. No worker outlives this.
    """
    # Not forked: OpenCV and BLAS have threads, which a fork would not have.
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    try:
        for core in sorted(os.sched_getaffinity(0)):
            first = next(work, None)
            if first is None:
                break
            ours, theirs = context.Pipe()
            arguments = (theirs, core, os.getpid(), folder, artifact, options)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            workers[ours] = process
            ours.send(first)
        while workers:
            for connection in wait(list(workers)):
                assert isinstance(connection, Connection)
                done = _received(connection, workers[connection], progress)
                if done is None:
                    continue
                yield done
                following = next(work, None)
                if following is None:
                    connection.close()  # ends the worker
                    workers.pop(connection).join()
                else:
                    connection.send(following)
    finally:
        for process in workers.values():
            process.kill()
            process.join()


def _received(
    connection: Connection,
    process: SpawnProcess,
    progress: Callable[[int], None],
) -> Done | None:
    """The shard that a worker has done, if its message says that."""
    try:
        kind, content = connection.recv()
    except (EOFError, OSError) as error:
        process.join()
        raise UserError(
            f"a worker process has ended ({_how(process.exitcode)}); what is written is whole: run "
            "the same command again to go on"
        ) from error
    if kind == "error":
        raise UserError(content)
    if kind == "progress":
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
                done = reader.read(
                    connection.recv(), lambda count: connection.send(("progress", count))
                )
                connection.send(("done", tuple(done)))
                gc.collect()
        except UserError as error:
            connection.send(("error", str(error)))
