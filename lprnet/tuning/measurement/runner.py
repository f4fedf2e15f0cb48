"""Times built candidates in one worker process on one core: MetaSchedule's runner interface."""

from functools import lru_cache
from pathlib import Path

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from lprnet.tuning.measurement.kernel_timing import Example, load_example, time_kernel
from lprnet.tuning.measurement.worker_pool import Failure, WorkerPool

RUN_SECONDS = 20.0


@lru_cache(maxsize=1)
def _example(path: str) -> Example:
    return load_example(Path(path))


def run_artifact(artifact: str, example: str) -> float:
    """Seconds of one call of the kernel in `artifact`, checked with `example`, an `.npz` file."""
    return time_kernel(tvm.runtime.load_module(artifact), tvm.cpu(), _example(example))


@derived_object
class CandidateRunner(ms.runner.PyRunner):  # type: ignore[misc]
    """Measures one kernel's candidates one after another in `workers`, a single pinned process.

    Nothing is built meanwhile, so the other cores are idle. Each candidate's output is compared
    with `example`'s before it is timed.
    """

    def __init__(self, workers: WorkerPool, example: Path) -> None:
        super().__init__()
        self._workers = workers
        self._example = str(example)

    def run(self, runner_inputs: list[ms.runner.RunnerInput]) -> list[ms.runner.RunnerFuture]:
        """One result for each of `runner_inputs`, all finished."""
        calls = [(str(entry.artifact_path), self._example) for entry in runner_inputs]
        results = self._workers.map(run_artifact, calls, RUN_SECONDS)
        return [finished(as_result(result)) for result in results]


def as_result(seconds: float | Failure) -> ms.runner.RunnerResult:
    """A measurement or a failure as MetaSchedule's result."""
    if isinstance(seconds, Failure):
        return ms.runner.RunnerResult(None, seconds.reason)
    return ms.runner.RunnerResult([seconds], None)


def finished(result: ms.runner.RunnerResult) -> ms.runner.RunnerFuture:
    """A future that is done."""
    return ms.runner.RunnerFuture(f_done=lambda: True, f_result=lambda: result)
