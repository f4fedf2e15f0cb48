"""A tuning run, batch after batch.

1. `task_scheduler.py` chooses the kernel to tune.
2. `search.py` proposes candidates.
3. They are built, then run; never both at once.
4. Trial log, database and manifest are written; then the search gets the results.

All other state is derived from the trial log, so a run can be killed at any moment and continued.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import tvm
from tvm.s_tir import meta_schedule as ms

from lprnet.tuning.log.database import KEPT, TRIALS, write_database
from lprnet.tuning.log.manifest import LogManifest, write_manifest
from lprnet.tuning.log.trials import Trial, TrialLog
from lprnet.tuning.measurement.measurer import Measurer, check_measurer
from lprnet.tuning.search import Learning, Search
from lprnet.tuning.space.algorithms import Direct, reference_of
from lprnet.tuning.space.tasks import Task
from lprnet.tuning.task_scheduler import next_kernel
from schedules.isa import Isa

TOP_K, ROUNDS = 4, 3
"""How many of each kernel's fastest candidates are measured again, and how often."""
BATCH = 16
"""Candidates a batch; fewer if there are too few trials for two batches a kernel."""


class Tuner:
    """Tunes `tasks` into the log in `directory`, continuing after the trials that it has."""

    def __init__(
        self,
        tasks: Sequence[Task],
        target: tvm.target.Target,
        isa: Isa,
        manifest: LogManifest,
        directory: Path,
        scratch: Path,
        batch: int = BATCH,
    ) -> None:
        """`scratch` is a folder for temporary files. Raises `UserError` for a damaged trial log."""
        self.directory = directory
        self.manifest = manifest
        self.trial_log = TrialLog(directory / TRIALS)
        self._target = target
        self._scratch = scratch
        self._started = time.monotonic()
        self._remeasured: dict[tuple[str, str], float] = {}
        # Another seed after each interruption; the same seed would propose the same candidates.
        seed = manifest.seed + len(self.trial_log.trials) + 1
        learning = Learning(target, isa, seed, batch)
        self._kernels = [
            Search(task, learning, scratch / f"{index}.npz") for index, task in enumerate(tasks)
        ]
        for kernel in self._kernels:
            kernel.relearn([t for t in self.trial_log.trials if t.kernel == kernel.task.kernel])

    @property
    def best_seconds(self) -> dict[str, float]:
        """Seconds of each kernel's fastest candidate, by name; infinite while none was valid."""
        return {
            kernel.task.kernel: kernel.progress.best[-1] if kernel.progress.best else math.inf
            for kernel in self._kernels
        }

    @property
    def seconds(self) -> float:
        """Seconds of all calls of the tuned kernels with their fastest candidates so far; infinite
        while a kernel has none.
        """
        best = self.best_seconds
        tasks = [kernel.task for kernel in self._kernels]
        return sum(task.calls * best[task.kernel] for task in tasks if task.calls)

    def run(self, trials: int, measurer: Measurer, report: Callable[[int], object]) -> None:
        """Measure until the trial log has `trials` trials or every search is exhausted, which the
        manifest then says.

        `report` is called after each batch with the number of trials it added.
        """
        self.manifest = replace(self.manifest, stopped_early=None)
        while (done := len(self.trial_log.trials)) < trials:
            index = next_kernel([kernel.progress for kernel in self._kernels])
            if index is None:
                reason = (
                    f"Tuning stopped after {done} of {trials} trials: the search finds no schedule "
                    f"that it has not measured, in any of the {len(self._kernels)} kernels."
                )
                self.manifest = replace(self.manifest, stopped_early=reason)
                break
            report(self._tune(self._kernels[index], trials - done, measurer))
        write_manifest(self.manifest, self.directory)

    def remeasure_best(self, measurer: Measurer, report: Callable[[], object]) -> None:
        """Measure the `TOP_K` fastest candidates of each kernel again, interleaved, and keep only
        the records of the fastest, over all its algorithms.

        Between the first measurements of two candidates minutes may pass, in which the machine's
        speed changes; here it is less than a second.
        """
        for kernel, trials in zip(self._kernels, self.best(TOP_K), strict=True):
            candidates = [kernel.candidate(trial) for trial in trials]
            artifacts = self._build(candidates, measurer)
            rounds = [self._run(kernel, candidates, artifacts, measurer) for _ in range(ROUNDS)]
            for trial, results in zip(trials, zip(*rounds, strict=True), strict=True):
                times = [float(r.run_secs[0]) for r in results if r.run_secs is not None]
                name = (trial.kernel, trial.candidate)
                self._remeasured[name] = min(times) if len(times) == ROUNDS else math.inf
            report()
        winners = self._winners()
        found = [(k, trials) for k, trials in zip(self._kernels, winners, strict=True) if trials]
        self._write([kernel.line for kernel, _ in found], [trials for _, trials in found])
        self.trial_log.compact(trial for trials in winners for trial in trials)

    def _tune(self, kernel: Search, limit: int, measurer: Measurer) -> int:
        """One batch; returns how many trials it added."""
        proposed = dict(list(kernel.propose().items())[:limit])
        if not proposed:
            return 0
        candidates = list(proposed.values())
        artifacts = self._build(candidates, measurer)
        results = self._run(kernel, candidates, artifacts, measurer)
        trials = [
            kernel.trial(digest, candidate, result)
            for (digest, candidate), result in zip(proposed.items(), results, strict=True)
        ]
        self.trial_log.append(trials)
        self._write([each.line for each in self._kernels], self.best())
        kernel.learn(candidates, results, trials)
        return len(trials)

    def _build(
        self, candidates: list[ms.MeasureCandidate], measurer: Measurer
    ) -> list[ms.builder.BuilderResult]:
        return list(
            measurer.builder.build(
                [ms.builder.BuilderInput(c.sch.mod, self._target) for c in candidates]
            )
        )

    def _run(
        self,
        kernel: Search,
        candidates: list[ms.MeasureCandidate],
        artifacts: list[ms.builder.BuilderResult],
        measurer: Measurer,
    ) -> list[ms.runner.RunnerResult]:
        """One result a candidate: the runner's, or why it was not built.

        Raises `UserError` if the machine is why a candidate failed: that is no result.
        """
        built = [index for index, artifact in enumerate(artifacts) if not artifact.error_msg]
        futures = measurer.runner(kernel.example).run(
            [
                ms.runner.RunnerInput(artifacts[i].artifact_path, "cpu", candidates[i].args_info)
                for i in built
            ]
        )
        measurer.verify()
        results = [ms.runner.RunnerResult(None, artifact.error_msg) for artifact in artifacts]
        for index, future in zip(built, futures, strict=True):
            results[index] = future.result()
        if any(result.error_msg for result in results):
            check_measurer(measurer, self._target, self._scratch)
        return results

    def best(self, count: int = KEPT) -> list[list[Trial]]:
        """Each kernel's fastest trials, fastest first, with their remeasured seconds if any."""
        valid: dict[str, list[tuple[float, Trial]]] = {
            kernel.task.kernel: [] for kernel in self._kernels
        }
        for trial in self.trial_log.trials:
            if trial.record and trial.seconds is not None and trial.kernel in valid:
                seconds = self._remeasured.get((trial.kernel, trial.candidate), trial.seconds)
                if seconds < math.inf:
                    valid[trial.kernel].append((seconds, replace(trial, seconds=seconds)))
        return [
            [trial for _, trial in sorted(trials, key=itemgetter(0))[:count]]
            for trials in valid.values()
        ]

    def _winners(self) -> list[list[Trial]]:
        """`best`, without the trials that other algorithms of the same kernel beat."""
        best, of_kernel = self.best(), dict[Direct, list[Trial]]()
        for kernel, trials in zip(self._kernels, best, strict=True):
            of_kernel.setdefault(reference_of(kernel.task.workload), []).extend(trials)
        kept = {
            (trial.kernel, trial.candidate)
            for trials in of_kernel.values()
            for trial in sorted(trials, key=lambda trial: trial.seconds or math.inf)[:KEPT]
        }
        return [[t for t in trials if (t.kernel, t.candidate) in kept] for trials in best]

    def _write(self, workloads: Sequence[str], best: Sequence[Sequence[Trial]]) -> None:
        """Write database and manifest."""
        write_database(self.directory, workloads, best)
        now = time.monotonic()
        trials = self.trial_log.trials
        self.manifest = self.manifest.progressed(
            trials=len(trials),
            valid=sum(trial.seconds is not None for trial in trials),
            seconds=self.manifest.seconds + now - self._started,
        )
        self._started = now
        write_manifest(self.manifest, self.directory)
