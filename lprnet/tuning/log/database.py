"""A tuning log on disk: MetaSchedule's JSON database of each kernel's best records.

`tuning_logs/<target>/<variant>/` holds `manifest.json`, `trials.jsonl` (`trials.py`), and the
database that builds read, rewritten after every batch and never half-written.
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.targets import Target, find_target
from lprnet.support.errors import UserError
from lprnet.tuning.log.manifest import Manifest, read_manifest
from lprnet.tuning.log.trials import Trial
from lprnet.tuning.space.algorithms import Tunable, forms, match_winograd
from lprnet.tuning.space.describe_trace import choices
from lprnet.tuning.space.tasks import Task, kernel_module, kernel_name, single
from schedules.dot4_intrinsics import dot4
from schedules.workloads.match import match

TRIALS = "trials.jsonl"
WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
KEPT = 3
"""Records a kernel in the database."""


@dataclass(frozen=True)
class TuningLog:
    """An opened log."""

    directory: Path
    manifest: Manifest
    database: ms.database.Database

    @property
    def target(self) -> Target:
        """That it was tuned for."""
        return find_target(self.manifest.target)

    def record(self, kernel: str, workload: Tunable) -> tuple[Tunable, ms.database.TuningRecord]:
        """The fastest form of `workload` and its fastest record; raises `UserError` naming `kernel`
        if it has none.
        """
        records = [
            (form, record)
            for form in forms(workload, self.target.isa)
            if self.database.has_workload(kernel_module(form))
            for record in self.database.get_top_k(
                self.database.commit_workload(kernel_module(form)), 1
            )
        ]
        if records:
            return min(records, key=lambda entry: float(entry[1].run_secs[0]))
        made = self.manifest
        raise UserError(
            f"{self.directory}: has no record for the kernel {kernel}; the log was tuned for "
            f"{', '.join(made.networks)}, so add yours with scripts/tune.py --checkpoint or build "
            "with --schedule manual."
        )

    def schedule(self, kernel: str, workload: Tunable) -> tuple[tirx.PrimFunc, str]:
        """`workload` scheduled by its fastest record's trace, and what that chose, in words.

        Raises `UserError` as `record` does.
        """
        form, record = self.record(kernel, workload)
        schedule = s_tir.Schedule(single(form))
        record.trace.apply_to_schedule(schedule, remove_postproc=False)
        return schedule.mod["main"], str(choices(record.trace, form))

    def tasks(self) -> list[Task]:
        """Its kernels, in its order, called by nobody."""
        tasks = []
        for line in (self.directory / WORKLOADS).read_text(encoding="utf-8").splitlines():
            function = ms.database.Workload.from_json(json.loads(line)).mod["main"]
            matched = match(function)
            workload = match_winograd(function, self.target.isa) if matched is None else matched
            if isinstance(workload, Tunable):
                tasks.append(Task(kernel_name(workload), workload, 0))
        return tasks


def open_log(directory: Path) -> TuningLog:
    """The log in `directory`. Raises `UserError` if it is missing, damaged, or another TVM's."""
    manifest = read_manifest(directory)
    if manifest.tvm != tvm.__version__:
        raise UserError(
            f"{directory}: was tuned with TVM {manifest.tvm}, this is {tvm.__version__}; tune "
            "again with scripts/tune.py --fresh."
        )
    dot4(find_target(manifest.target).isa)  # traces of integer kernels name it
    try:
        database = ms.database.JSONDatabase(work_dir=str(directory), allow_missing=False)
    except Exception as error:  # whatever TVM's reader trips over
        raise UserError(
            f"{directory}: its database cannot be read; tune again with scripts/tune.py --fresh."
        ) from error
    return TuningLog(directory, manifest, database)


def workload_line(workload: Tunable) -> str:
    """`workload` as a line of the database: its hash and, in base64, the length in 8 bytes and the
    JSON of its graph, which loses the blanks that are half of what TVM writes.
    """
    digest, graph = ms.database.Workload(kernel_module(workload)).as_json()
    dense = json.dumps(json.loads(base64.b64decode(graph)[8:]), separators=(",", ":")).encode()
    text = base64.b64encode(len(dense).to_bytes(8, "little") + dense).decode()
    return json.dumps([digest, text], separators=(",", ":"))


def write_database(
    directory: Path, workloads: Sequence[str], best: Sequence[Sequence[Trial]]
) -> None:
    """Write `workloads`, as `workload_line` gives them, and the `best` valid trials of each as the
    database in `directory`.

    Records count workloads. A list of those that goes on from the one there is written first, and
    either file may be old; under any other list the old records would be wrong, so they go first.
    """
    records = [
        json.dumps([index, _with_seconds(trial)], separators=(",", ":"))
        for index, trials in enumerate(best)
        for trial in trials
    ]
    there = directory / WORKLOADS
    if there.exists():
        before = there.read_text(encoding="utf-8").splitlines()
        if list(workloads[: len(before)]) != before:
            (directory / RECORDS).unlink(missing_ok=True)
    for name, lines in ((WORKLOADS, workloads), (RECORDS, records)):
        partial = directory / f".{name}.{os.getpid()}.partial"
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(directory / name)


def tuning_record(trial: Trial, workload: ms.database.Workload) -> ms.database.TuningRecord:
    """A valid trial as MetaSchedule's record; its time is the trial's."""
    return ms.database.TuningRecord.from_json(_with_seconds(trial), workload)


def _with_seconds(trial: Trial) -> list[Any]:
    trace, _, *rest = trial.record or []
    return [trace, [trial.seconds], *rest]
