"""A small kernel to tune, with everything a tuner needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lprnet.compiler.codegen import tvm_target
from lprnet.compiler.targets import find_target
from lprnet.tuning.log.manifest import LogManifest, write_manifest
from lprnet.tuning.space.tasks import Task, shared_tasks
from lprnet.tuning.tuner import Tuner
from schedules.workloads.float import AveragePool, Conv2d
from tests.processes import start_fork_server

TARGET = find_target("broadwell")
TASKS = shared_tasks(
    [
        [
            Task("conv", Conv2d(6, 10, 8, 3, 1, 16, 16), 2),
            Task("pool", AveragePool(1, 4, 16, (4, 2), (4, 2)), 1),
        ]
    ]
)
MANIFEST = LogManifest(
    target=TARGET.name,
    variant="fp32",
    networks=("none",),
    tvm=__import__("tvm").__version__,
    cpu="this one",
    passes=(),
    kernels=tuple(str(task.workload) for task in TASKS),
    seed=1,
    trials=0,
    valid=0,
    seconds=0.0,
    stopped_early=None,
)


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> None:
    """Before a pool of workers starts it without what tuners need that are killed."""
    start_fork_server()


@dataclass(frozen=True)
class Small:
    """A folder for a log, and tuners of two small kernels, or of others, that write it."""

    directory: Path
    tuner: Callable[..., Tuner]


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Tuners that continue one another's log."""
    directory, scratch = tmp_path / "log", tmp_path / "scratch"
    for folder in (directory, scratch):
        folder.mkdir()
    write_manifest(MANIFEST, directory)

    def tuner(tasks: Sequence[Task] = TASKS) -> Tuner:
        return Tuner(tasks, tvm_target(TARGET), TARGET.isa, MANIFEST, directory, scratch, batch=4)

    return Small(directory, tuner)
