"""The rows of ours: which flags of `scripts/build.py` make which row of the table, and making them.

Every row is built as a user would build it, by the script, in a process of its own. A row that the
script refuses is not in the table; why it refused is.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lprnet.compression.calibration import calibration_files

PROJECT = Path(__file__).resolve().parents[3]
SOURCES = ("lprnet", "relay_passes", "schedules", "scripts")
STAMP = "built-from"


@dataclass(frozen=True)
class Row:
    """A row of the table and how it is built."""

    name: str
    flags: tuple[str, ...] = ()

    @property
    def measures(self) -> bool:
        """Whether the build itself times kernels, which wants an idle machine."""
        return "--schedule=hybrid" in self.flags


COMBINED = "all combined"
BASE = "base (MLC, manual)"
STRUCTURED = "pruned, structured"

ROWS = (
    Row(BASE),
    Row("weights-only int8", ("--quantized=weights",)),
    Row("static int8", ("--quantized=static",)),
    Row("pruned I", ("--pruned=unstructured",)),
    Row("pruned II", ("--pruned=depth-aware",)),
    Row(STRUCTURED, ("--pruned=structured",)),
    Row("pruned + static int8", ("--pruned=structured", "--quantized=static")),
    Row("MLC, none", ("--schedule=none",)),
    Row("MLC, auto", ("--schedule=auto",)),
    Row("MLC, hybrid", ("--schedule=hybrid",)),
    Row(COMBINED, ("--pruned=structured", "--quantized=static", "--schedule=hybrid")),
)


@dataclass(frozen=True)
class Missing:
    """A row that could not be made, and why."""

    name: str
    reason: str


def build_rows(
    checkpoint: Path, calibration: Path | None, folder: Path, rows: Sequence[Row] = ROWS
) -> tuple[dict[Row, Path], list[Missing]]:
    """The artifact of every row that can be built, and the rows that cannot.

    One build a core, but those that time kernels one after another. An artifact in `folder` is used
    again if it was built from the same sources, weights, images and flags.
    """
    common = [f"--checkpoint={checkpoint}"]
    common += [] if calibration is None else [f"--calibration={calibration}"]
    inputs = _digest(checkpoint, calibration)
    bar = tqdm(total=len(rows), desc="building", unit="row", delay=3)

    def make(row: Row) -> Path | Missing:
        made = _build(row, [*common, *row.flags], inputs, folder / _slug(row.name))
        bar.update()
        return made

    quiet = [row for row in rows if not row.measures]
    with bar:
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            made = dict(zip(quiet, pool.map(make, quiet), strict=True))
        made |= {row: make(row) for row in rows if row.measures}
    artifacts, missing = {}, []
    for row in rows:
        match made[row]:
            case Missing() as reason:
                missing.append(reason)
            case artifact:
                artifacts[row] = artifact
    return artifacts, missing


def _build(row: Row, flags: Sequence[str], inputs: str, folder: Path) -> Path | Missing:
    stamp, made_from = folder / STAMP, " ".join([inputs, *flags])
    if stamp.is_file() and stamp.read_text() == made_from and (found := list(folder.glob("*.so"))):
        return found[0]
    shutil.rmtree(folder, ignore_errors=True)
    result = subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / "build.py"), *flags, f"--output={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        *_, last = ["no message", *result.stderr.strip().splitlines()]
        return Missing(row.name, last.removeprefix("build.py: ").removeprefix("error: "))
    stamp.write_text(made_from)
    (artifact,) = folder.glob("*.so")
    return artifact


def _digest(checkpoint: Path, calibration: Path | None) -> str:
    """Of everything that an artifact is made from, but the flags."""
    sources = [file for folder in SOURCES for file in sorted((PROJECT / folder).rglob("*.py"))]
    sources = [file for file in sources if Path(__file__).parent not in file.parents]
    logs = sorted((PROJECT / "tuning_logs").rglob("*.json"))
    images = [] if calibration is None else calibration_files(calibration)
    found = hashlib.sha256()
    for file in (checkpoint, *sources, *logs, *images):
        found.update(str(file).encode() + file.read_bytes())
    return found.hexdigest()


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
