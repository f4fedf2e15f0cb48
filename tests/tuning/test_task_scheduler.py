"""Trials go to the kernels that take most of the network's time."""

import math

from lprnet.tuning.task_scheduler import TaskState, next_kernel


def kernel(best: list[float], work: int = 1, calls: int = 1) -> TaskState:
    return TaskState(calls, work, "conv2d", best)


def test_every_kernel_once_first() -> None:
    kernels = [kernel([1.0]), kernel([]), kernel([])]
    assert next_kernel(kernels) == 1
    kernels[1].exhausted = True
    assert next_kernel(kernels) == 2


def test_the_slow_one_gets_more() -> None:
    assert next_kernel([kernel([1e-6]), kernel([1e-3]), kernel([1e-6])]) == 1


def test_calls_count() -> None:
    assert next_kernel([kernel([1e-4]), kernel([1e-4], calls=3)]) == 1


def test_the_one_that_still_gains() -> None:
    stale, gaining = kernel([1e-4] * 5), kernel([5e-4, 4e-4, 3e-4, 2e-4, 1e-4])
    assert next_kernel([stale, gaining]) == 1


def test_the_least_efficient_sibling_has_most_to_gain() -> None:
    efficient, wasteful = kernel([1e-4], work=100), kernel([1e-4], work=1)
    assert next_kernel([efficient, wasteful]) == 1
    assert next_kernel([wasteful, efficient]) == 0


def test_no_kernel_is_left_out_for_ever() -> None:
    kernels = [kernel([1e-3]), kernel([3e-4]), kernel([1e-4])]
    batches = [0, 0, 0]
    for _ in range(60):
        index = next_kernel(kernels)
        assert index is not None
        batches[index] += 1
        kernels[index].best.append(kernels[index].best[-1])
    assert min(batches) > 0
    assert batches == sorted(batches, reverse=True)


def test_failing_and_exhausted_kernels() -> None:
    failing, good = kernel([math.inf]), kernel([1e-4])
    assert next_kernel([failing, good]) == 1
    good.exhausted = failing.exhausted = True
    assert next_kernel([failing, good]) is None
