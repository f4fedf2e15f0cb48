"""Building and measuring on this machine: all cores build, then one core measures."""

import os
from pathlib import Path

from lprnet.tuning.measurement.builder import CandidateBuilder
from lprnet.tuning.measurement.runner import CandidateRunner
from lprnet.tuning.measurement.worker_pool import WorkerPool


class LocalMeasurer:
    """This machine's builder and runners. Use as a context manager."""

    def __init__(self) -> None:
        cores = os.sched_getaffinity(0)
        self._builders = WorkerPool(len(cores))
        self._runner = WorkerPool(1, frozenset({max(cores)}))
        self.builder = CandidateBuilder(self._builders)

    def runner(self, example: Path) -> CandidateRunner:
        """A runner that checks results with the `Example` in the file `example`."""
        return CandidateRunner(self._runner, example)

    def verify(self) -> None:
        """Nothing to check: this machine is always available."""

    def __enter__(self) -> "LocalMeasurer":
        return self

    def __exit__(self, *_: object) -> None:
        self._builders.stop()
        self._runner.stop()
        self.builder.close()
