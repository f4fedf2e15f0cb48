"""A tuning run: batch after batch, each measured, written down, and learnt from.

1. `task_scheduler.py` names the kernel to tune.
2. `search.py` proposes candidates.
3. They are built, then run; never both at once.
4. Journal, database and manifest are written; then the search hears of the results.

Whatever state there is beyond the journal is made from it, so a run can end at any moment.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Protocol

import tvm
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.targets import Isa
from lprnet.tuning.log.database import KEPT, TRIALS, write_database
from lprnet.tuning.log.manifest import Manifest, write_manifest
from lprnet.tuning.log.trials import Journal, Trial
from lprnet.tuning.search import Learning, Search
from lprnet.tuning.space.algorithms import Direct, definition
from lprnet.tuning.space.tasks import Task
from lprnet.tuning.task_scheduler import next_kernel

FINALISTS, ROUNDS = 4, 3
"""The fastest candidates of each kernel are measured again, in turns, to choose among them."""
BATCH = 16
"""Candidates a batch, fewer if the trials would not go round."""


class Bench(Protocol):
    """Builds candidates and measures them: `lprnet/tuning/measurement/local.py`'s, or a fleet."""

    builder: ms.builder.PyBuilder

    def runner(self, example: Path) -> ms.runner.PyRunner:
        """A runner that checks results with the `Example` in the file `example`."""

    def verify(self) -> None:
        """Raise `UserError` if failures just now say nothing about the candidates."""


class Session:
    """Tunes `tasks` into the log in `directory`, going on where its journal ends."""

    def __init__(
        self,
        tasks: Sequence[Task],
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
        self._target = target
        self._started = time.monotonic()
        self._confirmed: dict[tuple[str, str], float] = {}
        # Another seed after each interruption, or the same first candidates come again.
        seed = manifest.seed + len(self.journal.trials) + 1
        learning = Learning(target, isa, seed, batch)
        self._kernels = [
            Search(task, learning, scratch / f"{index}.npz") for index, task in enumerate(tasks)
        ]
        for kernel in self._kernels:
            kernel.relearn([t for t in self.journal.trials if t.kernel == kernel.task.kernel])

    @property
    def best_seconds(self) -> dict[str, float]:
        """Each kernel's, by name, as fast as known; infinite while no candidate was valid."""
        return {
            kernel.task.kernel: kernel.progress.best[-1] if kernel.progress.best else math.inf
            for kernel in self._kernels
        }

    @property
    def seconds(self) -> float:
        """All calls of the tuned kernels together, as fast as known; infinite until all are."""
        best = self.best_seconds
        tasks = [kernel.task for kernel in self._kernels]
        return sum(task.calls * best[task.kernel] for task in tasks if task.calls)

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
        """Measure each kernel's finalists again in turns, and keep only the records of the best, of
        all its forms together.

        Minutes lie between the first measurements of two candidates; here it is moments.
        """
        for kernel, trials in zip(self._kernels, self.best(FINALISTS), strict=True):
            candidates = [kernel.candidate(trial) for trial in trials]
            artifacts = self._build(candidates, bench)
            rounds = [self._run(kernel, candidates, artifacts, bench) for _ in range(ROUNDS)]
            for trial, results in zip(trials, zip(*rounds, strict=True), strict=True):
                times = [float(r.run_secs[0]) for r in results if r.run_secs is not None]
                name = (trial.kernel, trial.candidate)
                self._confirmed[name] = min(times) if len(times) == ROUNDS else math.inf
            report()
        winners = self._winners()
        found = [(k, trials) for k, trials in zip(self._kernels, winners, strict=True) if trials]
        self._write([kernel.line for kernel, _ in found], [trials for _, trials in found])
        self.journal.compact(trial for trials in winners for trial in trials)

    def _tune(self, kernel: Search, limit: int, bench: Bench) -> int:
        """One batch; returns how many trials it added."""
        proposed = dict(list(kernel.propose().items())[:limit])
        if not proposed:
            return 0
        candidates = list(proposed.values())
        artifacts = self._build(candidates, bench)
        results = self._run(kernel, candidates, artifacts, bench)
        trials = [
            kernel.trial(digest, candidate, result)
            for (digest, candidate), result in zip(proposed.items(), results, strict=True)
        ]
        self.journal.append(trials)
        self._write([each.line for each in self._kernels], self.best())
        kernel.learn(candidates, results, trials)
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
        kernel: Search,
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

    def best(self, count: int = KEPT) -> list[list[Trial]]:
        """Each kernel's fastest trials, fastest first, with the seconds of the finals."""
        valid: dict[str, list[tuple[float, Trial]]] = {
            kernel.task.kernel: [] for kernel in self._kernels
        }
        for trial in self.journal.trials:
            if trial.record and trial.seconds is not None and trial.kernel in valid:
                seconds = self._confirmed.get((trial.kernel, trial.candidate), trial.seconds)
                if seconds < math.inf:
                    valid[trial.kernel].append((seconds, replace(trial, seconds=seconds)))
        return [
            [trial for _, trial in sorted(trials, key=itemgetter(0))[:count]]
            for trials in valid.values()
        ]

    def _winners(self) -> list[list[Trial]]:
        """`best`, without the records of a form that others of its kernel beat."""
        best, of_kernel = self.best(), dict[Direct, list[Trial]]()
        for kernel, trials in zip(self._kernels, best, strict=True):
            of_kernel.setdefault(definition(kernel.task.workload), []).extend(trials)
        kept = {
            (trial.kernel, trial.candidate)
            for trials in of_kernel.values()
            for trial in sorted(trials, key=lambda trial: trial.seconds or math.inf)[:KEPT]
        }
        return [[t for t in trials if (t.kernel, t.candidate) in kept] for trials in best]

    def _write(self, workloads: Sequence[str], best: Sequence[Sequence[Trial]]) -> None:
        """Database and manifest as of now."""
        write_database(self.directory, workloads, best)
        now = time.monotonic()
        trials = self.journal.trials
        self.manifest = self.manifest.progressed(
            trials=len(trials),
            valid=sum(trial.seconds is not None for trial in trials),
            seconds=self.manifest.seconds + now - self._started,
        )
        self._started = now
        write_manifest(self.manifest, self.directory)
