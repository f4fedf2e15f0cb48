"""Which kernel gets the next batch of trials.

Gradient descent on the network's time (Zheng et al., "Ansor: Generating High-Performance Tensor
Programs for Deep Learning", OSDI 2020, section 6): a batch goes where the time is expected to fall
most, judged by how much the last batches gained, and by how much there is to gain at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

BACKWARD = 0.5
"""Weight of the past gain against the hoped-for one; Ansor's alpha is 0.2."""
SIMILARITY = 2.0
"""How much more efficient than its best sibling a kernel may hope to become; Ansor's beta."""
WINDOW = 3
"""Batches over which the past gain is taken, as in Ansor."""


@dataclass
class Progress:
    """One kernel's tuning so far."""

    calls: int
    work: int
    """Multiply-accumulates, or values read: what kernels of a family spend time on."""
    family: str
    best: list[float] = field(default_factory=list)
    """Fastest seconds after each batch, infinite while no candidate was valid."""
    exhausted: bool = False
    """The search finds no candidate that is new."""


def next_kernel(kernels: Sequence[Progress]) -> int | None:
    """Index of the kernel to tune next; None if all are exhausted.

    Every kernel gets one batch before any gets two.
    """
    open_kernels = [index for index, kernel in enumerate(kernels) if not kernel.exhausted]
    untried = [index for index in open_kernels if not kernels[index].best]
    if untried:
        return untried[0]
    return max(open_kernels, key=lambda index: _gain(kernels[index], kernels), default=None)


def _gain(kernel: Progress, kernels: Sequence[Progress]) -> float:
    """Seconds of the network that one more batch of `kernel` is expected to save."""
    now, batches = kernel.best[-1], len(kernel.best)
    if math.isinf(now):
        return 0.0
    past = kernel.best[max(0, batches - 1 - WINDOW)]
    backward = 0.0 if math.isinf(past) else (past - now) / min(WINDOW, batches)
    rate = SIMILARITY * max(
        sibling.work / sibling.best[-1]
        for sibling in kernels
        if sibling.family == kernel.family and sibling.best
    )
    # As much again as so far, but no further than its siblings make likely.
    forward = min(now / batches, max(0.0, now - kernel.work / rate))
    return kernel.calls * (BACKWARD * backward + (1 - BACKWARD) * forward)
