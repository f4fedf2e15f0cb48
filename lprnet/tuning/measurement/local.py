"""Building and measuring on this machine: all cores build, then one core measures."""

import os
from pathlib import Path

from lprnet.tuning.measurement.builder import KernelBuilder
from lprnet.tuning.measurement.runner import KernelRunner
from lprnet.tuning.measurement.worker_pool import Workers


class LocalBench:
    """This machine's builder and runners. Use as a context manager."""

    def __init__(self) -> None:
        cores = os.sched_getaffinity(0)
        self._builders = Workers(len(cores))
        self._runner = Workers(1, frozenset({max(cores)}))
        self.builder = KernelBuilder(self._builders)

    def runner(self, example: Path) -> KernelRunner:
        """A runner that checks results with the `Example` in the file `example`."""
        return KernelRunner(self._runner, example)

    def verify(self) -> None:
        """This machine is there."""

    def __enter__(self) -> "LocalBench":
        return self

    def __exit__(self, *_: object) -> None:
        self._builders.stop()
        self._runner.stop()
        self.builder.close()
