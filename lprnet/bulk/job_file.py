"""`_job.json`: what a job is, which its folder must agree with when the job goes on.

The digest in it is the SHA-256 of all else that stands there, and one of its fields is that of the
plan. So neither can lose a line, or a digit, without being refused: a plan that was cut short would
be a smaller job that ends well.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lprnet.bulk.plan import Extent
from lprnet.runtime.artifact import manifest_path
from lprnet.runtime.json_fields import decode
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError, one_line
from lprnet.support.file_digest import file_digest
from lprnet.support.sha256 import sha256

FILE_NAME = "_job.json"
FORMAT = 2
"""Of `_job.json` and of the plan; incremented if another version would misread one."""


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
    """What makes two jobs the same."""

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


@dataclass(frozen=True)
class Job:
    """Each field is in `_job.json` by its name, beside the format and the digest."""

    key: Key
    extent: Extent
    plan_sha256: str


def write_job(folder: Path, job: Job) -> None:
    """Write the `_job.json` of `folder`; it is on the disk before its name is. Raises `UserError`
    where that cannot be written.
    """
    content = {"format": FORMAT, **asdict(job)}
    content["digest"] = _digest(content)
    with (
        atomic_write(folder / FILE_NAME) as partial,
        partial.open("w", encoding="ascii") as file,
    ):
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_job(folder: Path) -> Job:
    """What `write_job` wrote. Raises `UserError` if it is of another format, damaged or gone."""
    path = folder / FILE_NAME
    try:
        return decode(Job, _whole(json.loads(path.read_bytes())))
    except OSError as error:
        raise unusable(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise unusable(path, f"is damaged ({one_line(error)})") from error
    except RecursionError as error:
        raise unusable(path, "is damaged (it is nested too deeply)") from error


def unusable(path: Path, reason: str) -> UserError:
    """The error for a file of a job without which it cannot go on."""
    return UserError(
        f"{path}: {reason}; to begin the job anew, choose another --output, or delete the folder "
        f"{path.parent}"
    )


def check_artifact(folder: Path, artifact: Path, loaded_sha256: str) -> None:
    """Raise `UserError` where `artifact`, of which a worker has just loaded the code with this
    SHA-256, or its manifest is not the one that the job in `folder` began with: it may have been
    replaced since, or be another one on another machine.
    """
    key = read_job(folder).key
    found = loaded_sha256, file_digest(manifest_path(artifact))
    if found != (key.artifact_sha256, key.manifest_sha256):
        raise UserError(
            f"{artifact}: is another artifact than the one that the job in {folder} began with; "
            "put that one there and run the same command again"
        )


def _whole(content: Any) -> dict[str, Any]:
    """Parsed JSON, if its format and digest are right. Raises `ValueError`."""
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    if content.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}, that of this version of lprnet")
    if content.pop("digest", None) != _digest(content):
        raise ValueError("its digest is that of other content")
    return content


def _digest(content: dict[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
