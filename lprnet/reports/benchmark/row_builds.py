"""Builds our rows of the table.

Every row is built as a user would build it, by the command, in a process of its own. If it
refuses a row, the report gives the reason instead. Whatever the report ends by, its builds end with
it, and a row that was built before stays whole until its next build is.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lprnet.compression.calibration import calibration_files
from lprnet.reports.benchmark.variants import EXPORTED, PROJECT, ROWS, Missing, Row
from lprnet.support.atomic_file import made_folder
from lprnet.support.child_command import ended_commands, start_command
from lprnet.support.child_process import how_it_ended
from lprnet.support.scratch_folder import scratch_folder
from lprnet.tuning import LOGS, USER_LOGS

SOURCE_FOLDERS = ("lprnet", "relay_passes", "schedules")
SOURCES = (".py", ".json", ".safetensors")
"""Code, widths, and networks that were trained before."""
BUILD = (sys.executable, "-m", "lprnet.commands", "build")
LOOK_SECONDS = 0.05
"""From one look at the builds that run to the next."""


def build_rows(
    checkpoint: Path, calibration: Path | None, folder: Path, rows: Sequence[Row] = ROWS
) -> tuple[dict[Row, Path], list[Missing]]:
    """The artifact of every row that can be built, and the rows that cannot.

    Builds run in parallel, except that those that time kernels run one after another. An artifact
    in `folder` is reused if it was built from the same sources, weights, images and flags; it lies
    in `ROW/DIGEST` of these.
    """
    images = [] if calibration is None else [f"--calibration={calibration}"]
    common = (f"--checkpoint={checkpoint}", *images)
    inputs = _digest(checkpoint, calibration)

    def place(row: Row) -> Path:
        made_from = " ".join([inputs, *common, *row.flags])
        return folder / _slug(row.name) / hashlib.sha256(made_from.encode()).hexdigest()[:16]

    waiting = [row for row in rows if not any(place(row).glob("*.so"))]
    reasons: dict[Row, str] = {}
    with (
        made_folder(folder),
        scratch_folder(folder) as scratch,
        tqdm(total=len(waiting), desc="building", unit="row", delay=3, disable=None) as bar,
    ):
        builds = [_Build(row, common, scratch / _slug(row.name), place(row)) for row in waiting]
        parallel = [build for build in builds if not build.row.times_kernels]
        alone = [build for build in builds if build.row.times_kernels]
        for group, most in ((parallel, len(os.sched_getaffinity(0))), (alone, 1)):
            reasons |= _run(group, most, bar.update)
    artifacts = {row: next(place(row).glob("*.so")) for row in rows if row not in reasons}
    return artifacts, [Missing(row.name, reasons[row]) for row in rows if row in reasons]


@dataclass(frozen=True)
class _Build:
    """The build of a row in the folder `scratch`, which becomes `place` once it is whole."""

    row: Row
    common: tuple[str, ...]
    scratch: Path
    place: Path

    @property
    def said(self) -> Path:
        """What it prints on stderr."""
        return self.scratch.with_suffix(".said")

    def start(self) -> subprocess.Popen[bytes]:
        exported = [f"--onnx={self.scratch / EXPORTED}"] if self.row.exports else []
        flags = (*self.common, *self.row.flags, *exported, f"--output={self.scratch}")
        with self.said.open("wb") as said:  # a full pipe without a reader would block it
            return start_command([*BUILD, *flags], stdout=subprocess.DEVNULL, stderr=said)

    def refusal(self, code: int) -> str:
        """Why it ended with this exit code."""
        *_, last = ["", *self.said.read_text(errors="replace").strip().splitlines()]
        return last.removeprefix("error: ") or how_it_ended(code)

    def keep(self) -> None:
        """Put what was built in its place, then remove other builds of the row."""
        shutil.rmtree(self.place, ignore_errors=True)  # only one that lacks its artifact is there
        self.place.parent.mkdir(exist_ok=True)
        self.scratch.rename(self.place)
        for other in set(self.place.parent.iterdir()) - {self.place}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def _run(builds: Sequence[_Build], most: int, progress: Callable[[], object]) -> dict[Row, str]:
    """Run them, at most `most` at a time; why those failed that did. `progress` is called once a
    build. The thread that starts a command has to outlive it, so there is none for each.
    """
    reasons: dict[Row, str] = {}
    waiting, running = list(builds)[::-1], dict[_Build, subprocess.Popen[bytes]]()
    started = list[subprocess.Popen[bytes]]()
    with ended_commands(started):
        while waiting or running:
            while waiting and len(running) < most:
                started.append(waiting[-1].start())
                running[waiting.pop()] = started[-1]
            for build in [one for one, process in running.items() if process.poll() is not None]:
                if code := running.pop(build).returncode:
                    reasons[build.row] = build.refusal(code)
                else:
                    build.keep()
                progress()
            time.sleep(LOOK_SECONDS)
    return reasons


def _digest(checkpoint: Path, calibration: Path | None) -> str:
    """SHA-256 of everything that an artifact is made from, except the flags."""
    sources = [
        file
        for folder in SOURCE_FOLDERS
        for file in sorted((PROJECT / folder).rglob("*"))
        if file.suffix in SOURCES and Path(__file__).parent not in file.parents
    ]
    logs = sorted(file for folder in (LOGS, USER_LOGS) for file in folder.rglob("*.json"))
    images = [] if calibration is None else calibration_files(calibration)
    found = hashlib.sha256()
    for file in (checkpoint, *sources, *logs, *images):
        found.update(str(file).encode() + file.read_bytes())
    return found.hexdigest()


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
