"""A job's folder: what the job is (`_job.json`), its plan, its shards, and the errors of each.

A shard is there whole or not at all, under its number, so the folder itself says what is done.
Readers of Parquet data sets pass over names that begin with `_` or a dot.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lprnet.bulk import plan
from lprnet.runtime.artifact import manifest_path
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.file_digest import file_digest

FILE_NAME = "_job.json"
LOCK = ".lock"
PARTIAL = ".partial"
ERRORS = "_errors-"
FORMAT = 1
"""Of `_job.json` and of the plan."""


@dataclass(frozen=True)
class Options:
    """What every worker is told."""

    form: str
    """One of `output.FORMS`."""
    top: int
    grammar: bool | None
    """As in `Recognizer.plates`; in a job never None."""
    min_confidence: float | None
    """Plates less sure than this are marked; None: none are."""
    rows: str
    """One of `two_rows.ROWS`."""
    max_pixels: int
    boxes: bool
    """Whether plates come from boxes in pictures."""


@dataclass(frozen=True)
class Key:
    """What makes two jobs the same; each field is in `_job.json` by its name."""

    inputs: list[str]
    working_folder: str
    """In which relative names of inputs begin."""
    stdin_sha256: str | None
    boxes_sha256: str | None
    column: str | None
    shard_size: int
    artifact_sha256: str
    manifest_sha256: str
    """The manifest says how confidences are calibrated."""
    options: Options


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
    another job, or other files.
    """
    names = [entry.name for entry in os.scandir(folder)]
    for name in names:
        if name.endswith(PARTIAL) and name[0] == ".":
            (folder / name).unlink(missing_ok=True)
    if FILE_NAME not in names:
        others = sorted(one for one in names if one[0] != "." and one != plan.FILE_NAME)
        if others:
            raise UserError(
                f"{folder}: holds files but no job ({others[0]}); choose another --output"
            )
        return None
    try:
        content = json.loads((folder / FILE_NAME).read_bytes())
        found, extent = content["key"], plan.Extent(**content["extent"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / FILE_NAME}: is damaged; choose another --output") from error
    wanted = _as_json(key)
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        raise UserError(
            f"{folder}: holds another job, with other {', '.join(different).replace('_', ' ')}; "
            "choose another --output, or give the same inputs, artifact and options"
        )
    return extent


def begin(folder: Path, key: Key, extent: plan.Extent) -> None:
    """Write `_job.json`, when the plan is there."""
    content = {"key": _as_json(key), "extent": asdict(extent)}
    with atomic_write(folder / FILE_NAME) as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")


def check_artifact(folder: Path, artifact: Path, loaded_sha256: str) -> None:
    """Raise `UserError` where `artifact`, of which a worker has just loaded the code with this
    SHA-256, or its manifest is not the one that the job in `folder` began with: it may have been
    replaced since, or be another one on another machine.
    """
    key = json.loads((folder / FILE_NAME).read_bytes())["key"]
    found = loaded_sha256, file_digest(manifest_path(artifact))
    if found != (key["artifact_sha256"], key["manifest_sha256"]):
        raise UserError(
            f"{artifact}: is another artifact than the one that the job in {folder} began with; "
            "put that one there and run the same command again"
        )


def _as_json(key: Key) -> dict[str, object]:
    """The fields as JSON gives them back."""
    content: dict[str, object] = json.loads(json.dumps({"format": FORMAT, **asdict(key)}))
    return content
