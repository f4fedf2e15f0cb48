"""`lprnet bulk`: plan what is to be read, read what is not there yet, say what it came to."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from lprnet.bulk import job, plan
from lprnet.bulk.inputs import STDIN, pieces
from lprnet.bulk.job_file import Key, Options
from lprnet.bulk.progress import Progress
from lprnet.bulk.shard import Done
from lprnet.bulk.worker import Work
from lprnet.bulk.workers import read_shards
from lprnet.runtime.artifact import manifest_path
from lprnet.runtime.decode import uses_grammar
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.file_digest import file_digest, rest_digest
from lprnet.support.file_names import printable

ALL_READ, SOME_FAILED = 0, 1
"""What `run` returns, as an exit code."""


@dataclass(frozen=True)
class Request:
    """What a command asks for."""

    inputs: list[str]
    """Images, folders, patterns, tar and Parquet files; `-`: names on stdin."""
    boxes: Path | None
    """Instead of inputs."""
    column: str | None
    """Of Parquet files."""
    output: Path
    artifact: Path
    shard_size: int
    options: Options
    ray: str | None
    """The address of a Ray cluster that does the work instead of this machine."""


def run(request: Request) -> int:
    """Read everything into `request.output`, or what a run before has left. Returns an exit code.

    The shards' names and, on stderr, a summary are all it says. Raises `UserError` for inputs, an
    artifact or a folder that cannot be used, and for a folder that holds another or a damaged job.
    """
    alphabet = Recognizer(request.artifact).manifest.alphabet
    grammar = uses_grammar(alphabet, request.options.grammar)
    request = replace(request, options=replace(request.options, grammar=grammar))
    with job.locked(request.output), ExitStack() as open_files:
        names = open_files.enter_context(_stdin_copy()) if STDIN in request.inputs else None
        key = _key(request, names)
        extent = job.find_plan(request.output, key)
        if extent is None:
            extent = _plan(request, names)
            job.begin(request.output, key, extent)
        return _read(request, extent)


def _stdin_copy() -> IO[bytes]:
    """stdin is looked at twice, so that it is known whether the job has these names."""
    file = TemporaryFile()  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, file)
    return file


def _key(request: Request, names: IO[bytes] | None) -> Key:
    if names is not None:
        names.seek(0)
    return Key(
        inputs=request.inputs,
        working_folder=os.getcwd(),
        stdin_sha256=None if names is None else rest_digest(names),
        boxes_sha256=None if request.boxes is None else file_digest(request.boxes),
        column=request.column,
        shard_size=request.shard_size,
        artifact_sha256=file_digest(request.artifact),
        manifest_sha256=file_digest(manifest_path(request.artifact)),
        options=request.options,
    )


def _plan(request: Request, names: IO[bytes] | None) -> plan.Extent:
    if names is not None:
        names.seek(0)
    found = pieces(request.inputs, request.boxes, request.column, names)
    with atomic_write(request.output / plan.FILE_NAME) as path:
        extent = plan.write_plan(found, request.shard_size, path)
    if not extent.shards:
        raise UserError("there is nothing to read; name images, folders, tar or Parquet files")
    return extent


def _read(request: Request, extent: plan.Extent) -> int:
    there = _shards_there(request, extent.shards)
    progress = Progress(extent, extent.shards - len(there))
    places = plan.places(request.output / plan.FILE_NAME)
    work = (place for place in places if place[0] not in there)
    errors = 0
    try:
        for done in _runner(request)(work, progress.add):
            progress.end_shard(0 if request.ray is None else done.plates)
            errors += done.errors
    finally:
        summary = progress.end()
    if there:
        summary += f"; {len(there):,} of {extent.shards:,} shards were there before"
    print(f"{printable(str(request.output))}: {summary}", file=sys.stderr)
    failed = any(name.startswith(job.ERRORS) for name in os.listdir(request.output))
    if failed:
        print(
            f"{errors:,} plates could not be read in this run; {job.ERRORS}*.jsonl say why",
            file=sys.stderr,
        )
    return SOME_FAILED if failed else ALL_READ


def _shards_there(request: Request, count: int) -> set[int]:
    """The numbers of the shards that are written."""
    names = set(os.listdir(request.output))
    paths = (job.shard_path(Path(), index, request.options.form) for index in range(count))
    return {index for index, path in enumerate(paths) if path.name in names}


Runner = Callable[[Iterator[Work], Callable[[int], None]], Iterator[Done]]


def _runner(request: Request) -> Runner:
    """Who does the work: the cores of this machine, or a Ray cluster."""
    artifact, output, options = request.artifact, request.output, request.options
    if request.ray is None:
        return lambda work, progress: read_shards(work, output, artifact, options, progress)
    from lprnet.bulk.on_ray import read_shards_on_ray

    address = request.ray
    return lambda work, _: read_shards_on_ray(address, work, output, artifact, options)
