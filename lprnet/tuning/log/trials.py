"""The trial log: every trial of a run, one JSON line each, appended batch by batch.

A run that is killed leaves at most one incomplete line, which the next run removes. A trial with a
complete line is never measured again.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from lprnet.runtime.json_fields import decode
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class Trial:
    """One measured candidate."""

    kernel: str
    candidate: str
    """Structural hash of the scheduled kernel, hexadecimal, equal for traces to the same code."""
    seconds: float | None
    """Seconds of one call; None if it failed."""
    error: str | None
    record: list[Any] | None
    """MetaSchedule's tuning record as JSON; None for failures and for records dropped as slow."""


class TrialLog:
    """The file of trials. Only one process at a time can have it open."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`, remove an incomplete last line, and read it.

        Raises `UserError` if another process has it open or a line is not a trial.
        """
        self._path = path
        self._file: TextIO = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{path.parent}: another run is tuning there; wait for it.") from error
        _cut_partial_line(path)
        self.trials: list[Trial] = read_trials(path)

    def append(self, trials: Iterable[Trial]) -> None:
        """Add finished trials; they are on the disk when this returns. Raises `UserError` where the
        disk does not take them.
        """
        added = list(trials)
        try:
            self._file.write("".join(_line(trial) for trial in added))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be written ({error.strerror}); make room and tune again, "
                "which goes on after the last trial."
            ) from error
        self.trials.extend(added)

    def compact(self, keep: Iterable[Trial]) -> None:
        """Drop the records of all trials but those of `keep`, whose seconds may have changed."""
        kept = {(trial.kernel, trial.candidate): trial for trial in keep}
        self.trials = [
            kept.get((trial.kernel, trial.candidate), replace(trial, record=None))
            for trial in self.trials
        ]
        with atomic_write(self._path) as partial:
            partial.write_text("".join(map(_line, self.trials)), encoding="utf-8")
            held = partial.open("a", encoding="utf-8")
            fcntl.flock(held, fcntl.LOCK_EX)
        self._file.close()
        self._file = held

    def close(self) -> None:
        """Release the file for other processes."""
        self._file.close()


def read_trials(path: Path) -> list[Trial]:
    """The trials in `path`. Raises `UserError` if a line is not one."""
    trials = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            trials.append(decode(Trial, json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}: line {number} is no trial of this version; tune again with --fresh."
            ) from error
    return trials


def _line(trial: Trial) -> str:
    return json.dumps(asdict(trial), separators=(",", ":")) + "\n"


def _cut_partial_line(path: Path) -> None:
    """Truncate `path` after its last newline."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
