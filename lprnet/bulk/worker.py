"""A process that reads one shard after another, and how another process tells it to."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from lprnet.bulk.fatal_images import FATAL
from lprnet.bulk.job_file import Options
from lprnet.bulk.shard import Done
from lprnet.support.child_process import (
    end_with_parent,
    how_it_ended,
    starting_process,
    take_sigterm,
)
from lprnet.support.errors import UserError

Work = tuple[int, int]
"""A shard's number and the place of its line in the plan."""


class Fatal(Exception):
    """A worker was ended by what it read, and nobody has warned it."""


@dataclass
class Worker:
    """A process and the shard that it is at."""

    process: SpawnProcess
    core: int | None
    work: Work = (0, 0)
    warned: bool = False
    told: int = 0
    """How many plates of the shard it says are done."""

    def give(self, connection: Connection, work: Work, *, warned: bool = False) -> None:
        self.work, self.warned, self.told = work, warned, 0
        connection.send((work, warned))


def start_worker(
    core: int | None, folder: Path, artifact: Path, options: Options
) -> tuple[Connection, Worker]:
    """A worker that waits for a shard, pinned to `core`; one that is not pinned (None) ends only
    when its connection is closed, a pinned one also with the thread that has started it.
    """
    # Not forked: OpenCV and BLAS have threads, which a fork would not have.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, core, os.getpid(), folder, artifact, options)
    process = context.Process(target=_work, args=arguments, daemon=True)
    with starting_process():
        process.start()
    theirs.close()
    return ours, Worker(process, core)


def received(
    connection: Connection,
    worker: Worker,
    progress: Callable[[int], None],
) -> Done | None:
    """The shard that a worker has done, if its message says that.

    Raises `Fatal` where what it read has ended it, and `UserError` as `read_shards`.
    """
    try:
        kind, content = connection.recv()
    except (EOFError, OSError) as error:
        worker.process.join()
        code = worker.process.exitcode or 0
        if -code in FATAL and not worker.warned:
            raise Fatal from error
        memory = ", as when memory is short" if code == -signal.SIGKILL else ""
        raise UserError(
            f"a worker process has ended ({how_it_ended(code)}{memory}); what is written is whole: "
            "run the same command again to go on"
        ) from error
    if kind == "error":
        raise UserError(content)
    if kind == "progress":
        worker.told += content
        progress(content)
        return None
    return Done(*content)


def _work(
    connection: Connection,
    core: int | None,
    parent: int,
    folder: Path,
    artifact: Path,
    options: Options,
) -> None:
    """A worker: shards come in, and what they came to goes out, until the connection is closed."""
    # Ctrl-C goes to every process of a terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_sigterm()
    if core is not None:
        if not end_with_parent(signal.SIGKILL, parent):
            return
        os.sched_setaffinity(0, {core})  # before NumPy and OpenCV count cores

    from lprnet.bulk.shard import ShardReader
    from lprnet.bulk.worker_memory import keep_memory

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            reader = ShardReader(folder, artifact, options)
            keep_memory()
            while True:
                place, warned = connection.recv()
                done = reader.read(
                    place, lambda count: connection.send(("progress", count)), warned=warned
                )
                connection.send(("done", tuple(done)))
                gc.collect()  # among new objects
        except UserError as error:
            connection.send(("error", str(error)))
