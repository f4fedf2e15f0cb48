"""A tuning log on disk: MetaSchedule's JSON database of each kernel's best records.

`tuning_logs/<target>/<variant>/` holds `manifest.json`, `trials.jsonl` (`trials.py`), and the
database that builds read. It is rewritten after every batch, each file atomically.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.targets import Target, find_target
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.tuning.log.manifest import LogManifest, read_manifest
from lprnet.tuning.log.trials import Trial
from lprnet.tuning.space.algorithms import Tunable, algorithms_of, match_winograd
from lprnet.tuning.space.describe_trace import decisions_of
from lprnet.tuning.space.tasks import Task, kernel_module, kernel_name, single
from schedules.dot4_intrinsics import dot4
from schedules.workloads.match import match

TRIALS = "trials.jsonl"
WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
KEPT = 3
"""Most records of one kernel in the database."""


@dataclass(frozen=True)
class TuningLog:
    """An opened log."""

    directory: Path
    manifest: LogManifest
    database: ms.database.Database

    @property
    def target(self) -> Target:
        """The target that it was tuned for."""
        return find_target(self.manifest.target)

    def record(self, kernel: str, workload: Tunable) -> tuple[Tunable, ms.database.TuningRecord]:
        """The fastest algorithm of `workload` and its fastest record. Raises `UserError` naming
        `kernel` if there is none.
        """
        records = [
            (algorithm, record)
            for algorithm in algorithms_of(workload, self.target.isa)
            if self.database.has_workload(kernel_module(algorithm))
            for record in self.database.get_top_k(
                self.database.commit_workload(kernel_module(algorithm)), 1
            )
        ]
        if records:
            return min(records, key=lambda entry: float(entry[1].run_secs[0]))
        made = self.manifest
        raise UserError(
            f"{self.directory}: has no record for the kernel {kernel}; the log was tuned for "
            f"{', '.join(made.networks)}, so add yours with lprnet tune --checkpoint or build "
            "with --schedule manual."
        )

    def schedule(self, kernel: str, workload: Tunable) -> tuple[tirx.PrimFunc, str]:
        """`workload` scheduled by its fastest record's trace, and a description of its decisions.

        Raises `UserError` as `record` does.
        """
        algorithm, record = self.record(kernel, workload)
        schedule = s_tir.Schedule(single(algorithm))
        record.trace.apply_to_schedule(schedule, remove_postproc=False)
        return schedule.mod["main"], str(decisions_of(record.trace, algorithm))

    def tasks(self) -> list[Task]:
        """Its kernels, in its order, each with 0 calls."""
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
            "again with lprnet tune --fresh."
        )
    dot4(find_target(manifest.target).isa)  # traces of integer kernels name it
    try:
        database = ms.database.JSONDatabase(work_dir=str(directory), allow_missing=False)
    except Exception as error:  # TVM's reader raises various errors for damaged files
        raise UserError(
            f"{directory}: its database cannot be read; tune again with lprnet tune --fresh."
        ) from error
    return TuningLog(directory, manifest, database)


def workload_line(workload: Tunable) -> str:
    """`workload` as a line of the database: its structural hash and, in base64, the length in 8
    bytes and the JSON of its graph, without the blanks that are half of what TVM writes.
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

    Records name workloads by position. If the new list of workloads extends the old one, the old
    records stay right and the list is written first. Under any other list they would be wrong, so
    they are removed first.
    """
    records = [
        json.dumps([index, _with_seconds(trial)], separators=(",", ":"))
        for index, trials in enumerate(best)
        for trial in trials
    ]
    existing = directory / WORKLOADS
    if existing.exists():
        before = existing.read_text(encoding="utf-8").splitlines()
        if list(workloads[: len(before)]) != before:
            (directory / RECORDS).unlink(missing_ok=True)
    for name, lines in ((WORKLOADS, workloads), (RECORDS, records)):
        with atomic_write(directory / name) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def tuning_record(trial: Trial, workload: ms.database.Workload) -> ms.database.TuningRecord:
    """A valid trial as MetaSchedule's record; its time is the trial's."""
    return ms.database.TuningRecord.from_json(_with_seconds(trial), workload)


def _with_seconds(trial: Trial) -> list[Any]:
    trace, _, *rest = trial.record or []
    return [trace, [trial.seconds], *rest]
