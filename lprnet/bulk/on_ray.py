"""The shards of a job on a Ray cluster, by Ray Data: one actor a core.

A row is a shard's number and its place in the plan; what is read goes from the actor that reads it
straight into the job's folder. So a machine that is lost costs the shards that it was at: Ray gives
them to others, and a shard that was written after all is not read again. All machines have the
job's folder, the artifact and the inputs under the same names.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import ray.data

from lprnet.bulk import job
from lprnet.bulk.job_file import Options
from lprnet.bulk.shard import Done, remove_partial
from lprnet.bulk.worker import Fatal, Work, received, start_worker
from lprnet.support.errors import UserError, one_line

Row = dict[str, Any]
ANSWER_SECONDS = 10.0
"""Until a cluster answers."""


class Reader:
    """An actor: it lets a process of its own read one shard after another, so that an image that
    ends the process does not end the actor.
    """

    def __init__(self, folder: str, working_folder: str, artifact: str, options: Options) -> None:
        """The names are those of the machine that began the job."""
        os.chdir(working_folder)
        self._folder, self._artifact, self._options = Path(folder), Path(artifact), options
        self._start()

    def __call__(self, row: Row) -> Row:
        """A shard's place in the plan to what reading it came to."""
        shard = int(row["shard"])
        if job.shard_path(self._folder, shard, self._options.form).exists():
            return Done(shard, 0, 0)._asdict()
        work = shard, int(row["offset"])
        self._worker.give(self._connection, work)
        while True:
            try:
                done = received(self._connection, self._worker, lambda count: None)
            except Fatal:
                remove_partial(self._folder, self._worker.process.pid)
                self._start()
                self._worker.give(self._connection, work, warned=True)
                continue
            if done is not None:
                return done._asdict()

    def _start(self) -> None:
        self._connection, self._worker = start_worker(
            None, self._folder, self._artifact, self._options
        )


def read_shards_on_ray(
    address: str, work: Iterator[Work], folder: Path, artifact: Path, options: Options
) -> Iterator[Done]:
    """Let the cluster at `address` read the shards of `work`; yields each when it is written.

    Raises `UserError` if there is no such cluster.
    """
    try:
        _look_for(address)
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--ray {address}: there is no Ray cluster ({one_line(error)}); ray start --head "
            "prints an address"
        ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        rows = [{"shard": index, "offset": offset} for index, offset in work]
        cores = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
        arguments = (str(folder.resolve()), os.getcwd(), str(artifact.resolve()), options)
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Reader,
            fn_constructor_args=arguments,
            num_cpus=1,
            concurrency=(1, cores, cores),  # at least, at most, at first
        )
        for row in done.iter_rows():
            yield Done(**row)
    finally:
        ray.shutdown()


def _look_for(address: str) -> None:
    """Raises `OSError` if nobody listens at a `host:port`; Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
