"""One process a core, pinned to it, each with a recognizer of its own.

On 16 cores threads of one process reach less than half of what 16 processes do: the interpreter
lock is held around every call of the decoder and the network.
"""

import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

from lprnet.bulk.job_file import Options
from lprnet.bulk.shard import Done, remove_partial
from lprnet.bulk.worker import Fatal, Work, Worker, received, start_worker


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
    workers: dict[Connection, Worker] = {}

    def start(core: int | None, first: Work, *, warned: bool = False) -> None:
        ours, worker = start_worker(core, folder, artifact, options)
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
                    done = received(connection, worker, progress)
                except Fatal:
                    progress(-worker.told)
                    remove_partial(folder, worker.process.pid)
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
            remove_partial(folder, worker.process.pid)
