"""The convergence curve of a tuning log."""

import pytest

from lprnet.tuning.log.trials import Trial
from lprnet.tuning.report import convergence
from lprnet.tuning.space.algorithms import Winograd
from lprnet.tuning.space.tasks import Task, shared_tasks
from schedules.isa import AVX2
from schedules.workloads.float import AveragePool, Conv2d

CONV = Conv2d(6, 10, 8, 3, 1, 16, 16)
POOL = AveragePool(1, 4, 16, (4, 2), (4, 2))
TASKS = shared_tasks([[Task("", CONV, 2), Task("", Winograd(CONV, 2, AVX2), 2), Task("", POOL, 1)]])
DIRECT, WINOGRAD, POOLED = (task.kernel for task in TASKS)


def trial(kernel: str, seconds: float | None) -> Trial:
    return Trial(kernel, "00", seconds, None if seconds else "timed out", None)


def test_a_plate_takes_each_kernels_fastest_algorithm() -> None:
    trials = [
        trial(DIRECT, 5.0),
        trial(DIRECT, None),
        trial(POOLED, 1.0),
        trial(WINOGRAD, 6.0),
        trial(WINOGRAD, 3.0),
        trial(DIRECT, 4.0),
        trial("of an earlier network", 0.1),
    ]
    assert convergence(trials, TASKS) == pytest.approx([11, 11, 11, 11, 7, 7, 7])
    assert convergence([], TASKS) == []
