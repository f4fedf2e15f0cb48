"""Our rows of the table and the flags of `lprnet build` that build them.

Every row is built as a user would build it, by the command, in a process of its own. If it
refuses a row, the report gives the reason instead.
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
from lprnet.tuning import LOGS, USER_LOGS

PROJECT = Path(__file__).resolve().parents[3]
SOURCE_FOLDERS = ("lprnet", "relay_passes", "schedules")
BUILD = (sys.executable, "-m", "lprnet.commands", "build")
STAMP = "built-from"
EXPORTED = "network.onnx"
"""Beside the artifact of a row that `exports`."""


@dataclass(frozen=True)
class Row:
    """A row of the table and how it is built."""

    name: str
    quantized: str | None = None
    pruned: str | None = None
    schedule: str | None = None
    """The options of `lprnet build`; None for its default."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The command line of `lprnet build`."""
        names = ("pruned", "quantized", "schedule")
        values = [(name, getattr(self, name)) for name in names]
        return tuple(f"--{name}={value}" for name, value in values if value is not None)

    @property
    def exports(self) -> bool:
        """Whether the build also writes its network as ONNX, for baselines at equal arithmetic."""
        return self.pruned == "structured" and self.schedule is None

    @property
    def times_kernels(self) -> bool:
        """Whether the build itself times kernels and needs an idle machine."""
        return self.schedule == "hybrid"


COMBINED = "all combined"
BASE = "base (MLC, manual)"
STRUCTURED = "pruned, structured"
STRUCTURED_INT8 = "pruned + static int8"

ROWS = (
    Row(BASE),
    Row("weights-only int8", quantized="weights"),
    Row("static int8", quantized="static"),
    Row("bf16", quantized="bf16"),
    Row("pruned I", pruned="unstructured"),
    Row("pruned II", pruned="depth-aware"),
    Row(STRUCTURED, pruned="structured"),
    Row(STRUCTURED_INT8, "static", "structured"),
    Row("MLC, none", schedule="none"),
    Row("MLC, auto", schedule="auto"),
    Row("MLC, hybrid", schedule="hybrid"),
    Row(COMBINED, "static", "structured", "hybrid"),
)
SCHEDULE_ROWS = frozenset(
    row.name for row in ROWS if row.schedule and not (row.quantized or row.pruned)
)
"""Names of the rows that differ from the base by their schedules only."""


@dataclass(frozen=True)
class Missing:
    """A row that could not be made, and the reason."""

    name: str
    reason: str


def build_rows(
    checkpoint: Path, calibration: Path | None, folder: Path, rows: Sequence[Row] = ROWS
) -> tuple[dict[Row, Path], list[Missing]]:
    """The artifact of every row that can be built, and the rows that cannot.

    Builds run in parallel, except that those that time kernels run one after another. An artifact
    in `folder` is reused if it was built from the same sources, weights, images and flags.
    """
    common = [f"--checkpoint={checkpoint}"]
    common += [] if calibration is None else [f"--calibration={calibration}"]
    inputs = _digest(checkpoint, calibration)
    bar = tqdm(total=len(rows), desc="building", unit="row", delay=3, disable=None)

    def make(row: Row) -> Path | Missing:
        place = folder / _slug(row.name)
        exported = [f"--onnx={place / EXPORTED}"] if row.exports else []
        made = _build(row, [*common, *row.flags, *exported], inputs, place)
        bar.update()
        return made

    parallel = [row for row in rows if not row.times_kernels]
    with bar:
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            made = dict(zip(parallel, pool.map(make, parallel), strict=True))
        made |= {row: make(row) for row in rows if row.times_kernels}
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
        [*BUILD, *flags, f"--output={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        *_, last = ["no message", *result.stderr.strip().splitlines()]
        return Missing(row.name, last.removeprefix("error: "))
    stamp.write_text(made_from)
    (artifact,) = folder.glob("*.so")
    return artifact


def _digest(checkpoint: Path, calibration: Path | None) -> str:
    """SHA-256 of everything that an artifact is made from, except the flags."""
    sources = [
        file
        for folder in SOURCE_FOLDERS
        for file in sorted((PROJECT / folder).rglob("*.py"))
        if Path(__file__).parent not in file.parents
    ]
    logs = sorted(file for folder in (LOGS, USER_LOGS) for file in folder.rglob("*.json"))
    images = [] if calibration is None else calibration_files(calibration)
    found = hashlib.sha256()
    for file in (checkpoint, *sources, *logs, *images):
        found.update(str(file).encode() + file.read_bytes())
    return found.hexdigest()


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
