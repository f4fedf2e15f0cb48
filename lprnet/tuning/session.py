"""A tuning run: batch after batch, each measured, written down, and learnt from.

1. `allocation.py` names the kernel to tune.
2. MetaSchedule's evolutionary search proposes candidates, ranked by an XGBoost model of the
   measurements so far; those measured before are passed over.
3. They are built, then run; never both at once.
4. Journal, database and manifest are written; then model and search hear of the results.

Whatever state there is beyond the journal is made from it, so a run can end at any moment.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import tvm
import tvm_ffi
from tvm.s_tir import meta_schedule as ms

from lprnet.codegen import generate
from lprnet.targets import Isa
from lprnet.tuning.allocation import Progress, next_kernel
from lprnet.tuning.journal import Journal, Trial
from lprnet.tuning.log import KEPT, TRIALS, tuning_record, write_database
from lprnet.tuning.manifest import Manifest, write_manifest
from lprnet.tuning.measure import Example, random_inputs, run_kernel
from lprnet.tuning.space import space_generator
from lprnet.tuning.tasks import Task, kernel_module

FINALISTS, ROUNDS = 8, 3
"""The fastest candidates of each kernel are measured again, in turns, to choose among them."""
BATCH = 32
"""Candidates a batch, fewer if the trials would not go round."""
POPULATION, GENERATIONS = 128, 3
"""Of the evolutionary search. These spaces have thousands of points, not billions."""


class Bench(Protocol):
    """Builds candidates and measures them: `bench.py`'s local one, or a fleet."""

    builder: ms.builder.PyBuilder

    def runner(self, example: Path) -> ms.runner.PyRunner:
        """A runner that checks results with the `Example` in the file `example`."""

    def verify(self) -> None:
        """Raise `UserError` if failures just now say nothing about the candidates."""


@dataclass
class _Tuned:
    """A kernel being tuned."""

    task: Task
    progress: Progress
    context: ms.TuneContext
    entry: ms.database.Workload
    example: Path
    seen: set[str] = field(default_factory=set)


class Session:
    """Tunes `tasks` into the log in `directory`, going on where its journal ends."""

    def __init__(
        self,
        tasks: list[Task],
        target: tvm.target.Target,
        isa: Isa,
        manifest: Manifest,
        directory: Path,
        scratch: Path,
        batch: int = BATCH,
    ) -> None:
        """`scratch` is a folder for temporary files. Raises `UserError` for a damaged journal."""
        self.directory = directory
        self.manifest = manifest
        self.journal = Journal(directory / TRIALS)
        self._batch = batch
        self._target = target
        self._database = ms.database.MemoryDatabase()
        self._model = ms.cost_model.XGBModel(num_warmup_samples=0, verbose_eval=0)
        self._started = time.monotonic()
        self._confirmed: dict[tuple[str, str], float] = {}
        self._kernels = [
            self._prepare(task, isa, scratch / f"{index}.npz") for index, task in enumerate(tasks)
        ]
        self._relearn()

    @property
    def tasks(self) -> list[Task]:
        """The kernels, in the order of the lowered module."""
        return [kernel.task for kernel in self._kernels]

    @property
    def seconds(self) -> float:
        """One image's tuned kernels together, as fast as known; infinite until all are."""
        return sum(
            kernel.task.calls * (kernel.progress.best[-1] if kernel.progress.best else math.inf)
            for kernel in self._kernels
        )

    def run(self, trials: int, bench: Bench, report: Callable[[int], object]) -> None:
        """Measure until the journal has `trials` trials or nothing new is to be found.

        `report` hears the number of trials added after each batch.
        """
        while len(self.journal.trials) < trials:
            index = next_kernel([kernel.progress for kernel in self._kernels])
            if index is None:
                return
            report(self._tune(self._kernels[index], trials - len(self.journal.trials), bench))

    def confirm(self, bench: Bench, report: Callable[[], object]) -> None:
        """Measure each kernel's finalists again in turns, and keep only the records of the best.

        Minutes lie between the first measurements of two candidates; here it is moments.
        """
        finalists = self.best(FINALISTS)
        for kernel in self._kernels:
            trials = finalists[kernel.task.kernel]
            candidates = [tuning_record(t, kernel.entry).as_measure_candidate() for t in trials]
            artifacts = self._build(candidates, bench)
            rounds = [self._run(kernel, candidates, artifacts, bench) for _ in range(ROUNDS)]
            for trial, results in zip(trials, zip(*rounds, strict=True), strict=True):
                times = [float(r.run_secs[0]) for r in results if r.run_secs is not None]
                name = (trial.kernel, trial.candidate)
                self._confirmed[name] = min(times) if len(times) == ROUNDS else math.inf
            report()
        best = self.best()
        self.write()
        self.journal.compact({(t.kernel, t.candidate) for ts in best.values() for t in ts})

    def _prepare(self, task: Task, isa: Isa, example: Path) -> _Tuned:
        module = kernel_module(task.workload)
        function = module["main"]
        # For any x86-64: this machine may not be the one that measures.
        library = generate(module, tvm.target.Target({"kind": "llvm", "num-cores": 1}))
        *_, out = function.params
        blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
        inputs = random_inputs(function)
        expected = run_kernel(library.jit(), tvm.cpu(), inputs, blank)[-1].numpy()
        Example(inputs, expected).save(example)
        context = ms.TuneContext(
            module,
            target=self._target,
            space_generator=space_generator(task.workload, isa),
            search_strategy=ms.search_strategy.EvolutionarySearch(
                population_size=POPULATION, genetic_num_iters=GENERATIONS, init_min_unmeasured=1
            ),
            task_name=task.kernel,
            # Another seed after each interruption, or the same first candidates come again.
            rand_state=self.manifest.seed + len(self.journal.trials) + 1,
        )
        context.pre_tuning(
            max_trials=2**31 - 1,
            num_trials_per_iter=self._batch,
            database=self._database,
            cost_model=self._model,
        )
        work = task.workload.macs or int(np.prod(inputs[0].shape))
        progress = Progress(task.calls, work, task.workload.family)
        entry = self._database.commit_workload(module)
        return _Tuned(task, progress, context, entry, example)

    def _relearn(self) -> None:
        """Database, model and progress from the journal."""
        for kernel in self._kernels:
            trials = [t for t in self.journal.trials if t.kernel == kernel.task.kernel]
            kernel.seen = {trial.candidate for trial in trials}
            for start in range(0, len(trials), self._batch):
                self._note(kernel, trials[start : start + self._batch])
            records = [tuning_record(t, kernel.entry) for t in trials if t.record]
            for record in records:
                self._database.commit_tuning_record(record)
            if records:
                self._model.update(
                    kernel.context,
                    [record.as_measure_candidate() for record in records],
                    [ms.runner.RunnerResult(list(record.run_secs), None) for record in records],
                )

    def _note(self, kernel: _Tuned, trials: list[Trial]) -> None:
        best = kernel.progress.best
        times = [trial.seconds for trial in trials if trial.seconds is not None]
        best.append(min([*times, *best[-1:]], default=math.inf))

    def _tune(self, kernel: _Tuned, limit: int, bench: Bench) -> int:
        """One batch; returns how many trials it added."""
        proposed = kernel.context.generate_measure_candidates() or []
        fresh: dict[str, ms.MeasureCandidate] = {}
        for candidate in proposed:
            digest = f"{tvm_ffi.structural_hash(candidate.sch.mod) % 2**64:016x}"
            if digest not in kernel.seen:
                fresh.setdefault(digest, candidate)
        candidates = list(fresh.values())[:limit]
        if not candidates:
            kernel.progress.exhausted = True
            return 0
        artifacts = self._build(candidates, bench)
        results = self._run(kernel, candidates, artifacts, bench)
        trials = [
            self._trial(kernel, digest, candidate, result)
            for (digest, candidate), result in zip(fresh.items(), results, strict=False)
        ]
        self.journal.append(trials)
        kernel.seen.update(trial.candidate for trial in trials)
        self._note(kernel, trials)
        self.write()
        for trial in trials:
            if trial.record:
                self._database.commit_tuning_record(tuning_record(trial, kernel.entry))
        self._model.update(kernel.context, candidates, results)
        kernel.context.notify_runner_results(candidates, results)
        return len(trials)

    def _build(
        self, candidates: list[ms.MeasureCandidate], bench: Bench
    ) -> list[ms.builder.BuilderResult]:
        return list(
            bench.builder.build(
                [ms.builder.BuilderInput(c.sch.mod, self._target) for c in candidates]
            )
        )

    def _run(
        self,
        kernel: _Tuned,
        candidates: list[ms.MeasureCandidate],
        artifacts: list[ms.builder.BuilderResult],
        bench: Bench,
    ) -> list[ms.runner.RunnerResult]:
        """One result a candidate: the runner's, or why it was not built."""
        built = [index for index, artifact in enumerate(artifacts) if not artifact.error_msg]
        futures = bench.runner(kernel.example).run(
            [
                ms.runner.RunnerInput(artifacts[i].artifact_path, "cpu", candidates[i].args_info)
                for i in built
            ]
        )
        bench.verify()
        results = [ms.runner.RunnerResult(None, artifact.error_msg) for artifact in artifacts]
        for index, future in zip(built, futures, strict=True):
            results[index] = future.result()
        return results

    def _trial(
        self,
        kernel: _Tuned,
        digest: str,
        candidate: ms.MeasureCandidate,
        result: ms.runner.RunnerResult,
    ) -> Trial:
        if result.run_secs is None:
            return Trial(kernel.task.kernel, digest, None, str(result.error_msg)[:200], None)
        seconds = float(result.run_secs[0])
        record = ms.database.TuningRecord(
            candidate.sch.trace, kernel.entry, [seconds], self._target, candidate.args_info
        )
        return Trial(kernel.task.kernel, digest, seconds, None, record.as_json())

    def best(self, count: int = KEPT) -> dict[str, list[Trial]]:
        """Each kernel's fastest trials, fastest first."""
        fastest: dict[str, list[Trial]] = {}
        for kernel in self._kernels:
            valid = [
                trial
                for trial in self.journal.trials
                if trial.kernel == kernel.task.kernel and trial.record
            ]
            fastest[kernel.task.kernel] = sorted(valid, key=self._time)[:count]
        return fastest

    def _time(self, trial: Trial) -> float:
        """Seconds a call of a valid trial takes, by the latest measurement."""
        assert trial.seconds is not None
        return self._confirmed.get((trial.kernel, trial.candidate), trial.seconds)

    def write(self) -> None:
        """Database and manifest as of now."""
        best = {
            name: [replace(trial, seconds=self._time(trial)) for trial in trials]
            for name, trials in self.best().items()
        }
        write_database(self.directory, self.tasks, best)
        now = time.monotonic()
        trials = self.journal.trials
        self.manifest = self.manifest.progressed(
            trials=len(trials),
            valid=sum(trial.seconds is not None for trial in trials),
            seconds=self.manifest.seconds + now - self._started,
        )
        self._started = now
        write_manifest(self.manifest, self.directory)
