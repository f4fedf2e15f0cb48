"""A job's folder: what the job is (`_job.json`), its plan, its shards, and the errors of each.

A shard is there whole or not at all, under its number, so the folder itself says what is done.
Readers of Parquet data sets pass over names that begin with `_` or a dot.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from lprnet.bulk import job_file, plan
from lprnet.bulk.job_file import Job, Key, read_job, unusable, write_job
from lprnet.support.errors import UserError
from lprnet.support.file_digest import file_digest

LOCK = ".lock"
PARTIAL = ".partial"
ERRORS = "_errors-"


def shard_path(folder: Path, index: int, form: str) -> Path:
    """The results of shard `index`."""
    return folder / f"shard-{index:08}.{form}"


def errors_path(folder: Path, index: int) -> Path:
    """What could not be read of shard `index`; there is no such file if all was read."""
    return folder / f"{ERRORS}{index:08}.jsonl"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other runs out of it. Its name is free again when this process has
    ended, however it ended.

    Raises `UserError` if another run is in it or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK, "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another --output"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{folder}: another run works on this job; let it end") from error
        yield


def find_plan(folder: Path, key: Key) -> plan.Extent | None:
    """The extent of the plan in `folder`; None if no job has begun there.

    Removes what a run that was killed has left half-written. Raises `UserError` if the folder holds
    another job, other files, or a job whose plan or `_job.json` is damaged.
    """
    names = [entry.name for entry in os.scandir(folder)]
    for name in names:
        if name.endswith(PARTIAL) and name[0] == ".":
            (folder / name).unlink(missing_ok=True)
    if job_file.FILE_NAME not in names:
        others = sorted(one for one in names if one[0] != "." and one != plan.FILE_NAME)
        if others:
            raise UserError(
                f"{folder}: holds files but no job ({others[0]}); choose another --output"
            )
        return None
    job = read_job(folder)
    names_of_fields = [field.name for field in fields(Key)]
    different = [one for one in names_of_fields if getattr(job.key, one) != getattr(key, one)]
    if different:
        raise UserError(
            f"{folder}: holds another job, with other {', '.join(different).replace('_', ' ')}; "
            "choose another --output, or give the same inputs, artifact and options"
        )
    if _plan_sha256(folder) != job.plan_sha256:
        raise unusable(folder / plan.FILE_NAME, "is not the plan that the job began with")
    return job.extent


def begin(folder: Path, key: Key, extent: plan.Extent) -> None:
    """Write `_job.json`, when the plan is there."""
    write_job(folder, Job(key, extent, _plan_sha256(folder)))


def _plan_sha256(folder: Path) -> str:
    path = folder / plan.FILE_NAME
    try:
        return file_digest(path)
    except OSError as error:
        raise unusable(path, f"cannot be read ({error.strerror})") from error
