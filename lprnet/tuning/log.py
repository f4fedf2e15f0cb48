"""A tuning log on disk: MetaSchedule's JSON database of each kernel's best records.

`tuning_logs/<target>/<variant>/` holds `manifest.json`, `trials.jsonl` (`journal.py`), and the
database that builds read, rewritten after every batch and never half-written.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import meta_schedule as ms

from lprnet.errors import UserError
from lprnet.targets import Target, find_target
from lprnet.tuning.choices import choices
from lprnet.tuning.journal import Trial
from lprnet.tuning.manifest import Manifest, read_manifest
from lprnet.tuning.space import Tunable
from lprnet.tuning.tasks import Task, kernel_module

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

    def record(self, kernel: str, workload: Tunable) -> ms.database.TuningRecord:
        """The fastest record of `workload`; raises `UserError` naming `kernel` if it has none."""
        module = kernel_module(workload)
        if self.database.has_workload(module):
            entry = self.database.commit_workload(module)
            for record in self.database.get_top_k(entry, 1):
                return record
        made = self.manifest
        raise UserError(
            f"{self.directory}: has no record for the kernel {kernel}; the log was tuned for "
            f"{made.checkpoint} (sha256 {made.checkpoint_sha256[:12]}), so tune your checkpoint "
            "with scripts/tune.py --checkpoint or build with --schedule manual."
        )

    def schedule(self, kernel: str, workload: Tunable) -> tuple[tirx.PrimFunc, str]:
        """`workload` scheduled by its fastest record's trace, and what that chose, in words.

        Raises `UserError` as `record` does.
        """
        trace = self.record(kernel, workload).trace
        schedule = s_tir.Schedule(kernel_module(workload))
        trace.apply_to_schedule(schedule, remove_postproc=False)
        return schedule.mod["main"], str(choices(trace, workload))


def open_log(directory: Path) -> TuningLog:
    """The log in `directory`. Raises `UserError` if it is missing, damaged, or another TVM's."""
    manifest = read_manifest(directory)
    if manifest.tvm != tvm.__version__:
        raise UserError(
            f"{directory}: was tuned with TVM {manifest.tvm}, this is {tvm.__version__}; tune "
            "again with scripts/tune.py --fresh."
        )
    try:
        database = ms.database.JSONDatabase(work_dir=str(directory), allow_missing=False)
    except Exception as error:  # whatever TVM's reader trips over
        raise UserError(
            f"{directory}: its database cannot be read; tune again with scripts/tune.py --fresh."
        ) from error
    return TuningLog(directory, manifest, database)


def write_database(
    directory: Path, tasks: Sequence[Task], best: Mapping[str, Sequence[Trial]]
) -> None:
    """Write the valid trials that `best` names for each kernel as the database in `directory`.

    The workloads come first and are always the same, so each file alone may be old or new.
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix=".database") as scratch:
        database = ms.database.JSONDatabase(work_dir=scratch)
        entries = [database.commit_workload(kernel_module(task.workload)) for task in tasks]
        for entry, task in zip(entries, tasks, strict=True):
            for trial in best.get(task.kernel, ()):
                database.commit_tuning_record(tuning_record(trial, entry))
        for name in (WORKLOADS, RECORDS):
            (Path(scratch) / name).replace(directory / name)


def tuning_record(trial: Trial, workload: ms.database.Workload) -> ms.database.TuningRecord:
    """A valid trial as MetaSchedule's record; its time is the trial's."""
    trace, _, *rest = trial.record or []
    return ms.database.TuningRecord.from_json([trace, [trial.seconds], *rest], workload)
