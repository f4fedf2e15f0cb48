"""The search for schedules of one kernel: it proposes candidates and learns from measurements.

MetaSchedule's evolutionary search proposes candidates, ranked by an XGBoost cost model that all
kernels share. Candidates that this or an earlier run has measured are skipped.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tvm
import tvm_ffi
from tvm.s_tir import meta_schedule as ms

from lprnet.tuning.log.database import tuning_record, workload_line
from lprnet.tuning.log.trials import Trial
from lprnet.tuning.measurement.intrinsics import import_x86_intrinsics
from lprnet.tuning.measurement.kernel_timing import write_example
from lprnet.tuning.space.algorithms import reference_of
from lprnet.tuning.space.sketches import space_generator
from lprnet.tuning.space.tasks import Task, kernel_module
from lprnet.tuning.task_scheduler import TaskState
from schedules.dot4_intrinsics import dot4
from schedules.isa import Isa
from schedules.workloads.integer import QuantizedConv2d

POPULATION, GENERATIONS = 64, 2
"""Of the evolutionary search. These spaces have thousands of points, not billions, and ranking a
candidate takes several milliseconds: more of either costs more time than measuring does.
"""


@dataclass(frozen=True)
class Learning:
    """What the searches of one tuning run share."""

    target: tvm.target.Target
    isa: Isa
    seed: int
    batch: int
    database: ms.database.Database = field(default_factory=ms.database.MemoryDatabase)
    model: ms.cost_model.CostModel = field(
        default_factory=lambda: ms.cost_model.XGBModel(num_warmup_samples=0, verbose_eval=0)
    )


class Search:
    """The search of one kernel."""

    def __init__(self, task: Task, learning: Learning, example: Path) -> None:
        """`example` is where the `Example` to check candidates with is written."""
        module = kernel_module(task.workload)
        inputs = write_example(kernel_module(reference_of(task.workload)), example)
        self.task = task
        self.example = example
        self.line = workload_line(task.workload)
        self.progress = TaskState(
            task.calls, task.workload.macs or int(np.prod(inputs[0].shape)), task.workload.family
        )
        if isinstance(task.workload, QuantizedConv2d):
            dot4(learning.isa)  # traces of earlier runs name the intrinsic
        self._learning = learning
        self._entry = learning.database.commit_workload(module)
        self._seen: set[str] = set()
        import_x86_intrinsics()
        self._context = ms.TuneContext(
            module,
            target=learning.target,
            space_generator=space_generator(task.workload, learning.isa),
            search_strategy=ms.search_strategy.EvolutionarySearch(
                population_size=POPULATION, genetic_num_iters=GENERATIONS, init_min_unmeasured=1
            ),
            task_name=task.kernel,
            rand_state=learning.seed,
        )
        self._context.pre_tuning(
            max_trials=2**31 - 1,
            num_trials_per_iter=learning.batch,
            database=learning.database,
            cost_model=learning.model,
        )

    def relearn(self, trials: list[Trial]) -> None:
        """Continue after `trials`, those of this kernel in an earlier run."""
        batch = self._learning.batch
        for start in range(0, len(trials), batch):
            self._note(trials[start : start + batch])
        records = [tuning_record(trial, self._entry) for trial in trials if trial.record]
        for record in records:
            self._learning.database.commit_tuning_record(record)
        if records:
            self._learning.model.update(
                self._context,
                [record.as_measure_candidate() for record in records],
                [ms.runner.RunnerResult(list(record.run_secs), None) for record in records],
            )

    def propose(self) -> dict[str, ms.MeasureCandidate]:
        """The next batch of candidates by structural hash. If it is empty, the search is
        exhausted.

        TVM proposes nothing twice in one run, but does not know what an earlier run measured: a
        batch of only such candidates is skipped, which can happen once for each of them.
        """
        fresh: dict[str, ms.MeasureCandidate] = {}
        for _ in range(1 + len(self._seen)):
            candidates = self._context.generate_measure_candidates() or []
            for candidate in candidates:
                digest = f"{tvm_ffi.structural_hash(candidate.sch.mod) % 2**64:016x}"
                if digest not in self._seen:
                    fresh.setdefault(digest, candidate)
            if fresh or not candidates:
                break
        self.progress.exhausted = not fresh
        return fresh

    def learn(
        self,
        candidates: list[ms.MeasureCandidate],
        results: list[ms.runner.RunnerResult],
        trials: list[Trial],
    ) -> None:
        """Update database and cost model; `trials` are the same measurements for the trial log."""
        self._note(trials)
        for trial in trials:
            if trial.record:
                self._learning.database.commit_tuning_record(tuning_record(trial, self._entry))
        self._learning.model.update(self._context, candidates, results)
        self._context.notify_runner_results(candidates, results)

    def trial(
        self, digest: str, candidate: ms.MeasureCandidate, result: ms.runner.RunnerResult
    ) -> Trial:
        """A measurement as a line of the trial log."""
        if result.run_secs is None:
            return Trial(self.task.kernel, digest, None, str(result.error_msg)[:200], None)
        seconds = float(result.run_secs[0])
        record = ms.database.TuningRecord(
            candidate.sch.trace, self._entry, [seconds], self._learning.target, candidate.args_info
        )
        return Trial(self.task.kernel, digest, seconds, None, record.as_json())

    def candidate(self, trial: Trial) -> ms.MeasureCandidate:
        """The candidate of a valid trial, to measure it again."""
        return tuning_record(trial, self._entry).as_measure_candidate()

    def _note(self, trials: list[Trial]) -> None:
        self._seen.update(trial.candidate for trial in trials)
        best = self.progress.best
        times = [trial.seconds for trial in trials if trial.seconds is not None]
        best.append(min([*times, *best[-1:]], default=math.inf))
