"""Trials go where the network's time is."""

import math

from lprnet.tuning.task_scheduler import Progress, next_kernel


def kernel(best: list[float], work: int = 1, calls: int = 1) -> Progress:
    return Progress(calls, work, "conv2d", best)


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


def test_nobody_starves_for_ever() -> None:
    kernels = [kernel([1e-3]), kernel([3e-4]), kernel([1e-4])]
    turns = [0, 0, 0]
    for _ in range(60):
        index = next_kernel(kernels)
        assert index is not None
        turns[index] += 1
        kernels[index].best.append(kernels[index].best[-1])
    assert min(turns) > 0
    assert turns == sorted(turns, reverse=True)


def test_hopeless_and_exhausted_kernels() -> None:
    hopeless, good = kernel([math.inf]), kernel([1e-4])
    assert next_kernel([hopeless, good]) == 1
    good.exhausted = hopeless.exhausted = True
    assert next_kernel([hopeless, good]) is None
