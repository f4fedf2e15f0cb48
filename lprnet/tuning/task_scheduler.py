"""Which kernel gets the next batch of trials.

Gradient descent on the network's time (Zheng et al., "Ansor: Generating High-Performance Tensor
Programs for Deep Learning", OSDI 2020, section 6): the next batch goes to the kernel whose time is
expected to fall most. The estimate mixes the gain of its last batches with what it may still gain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

BACKWARD = 0.5
"""Weight of the past gain; the rest is the weight of the expected gain. Ansor's alpha is 0.2."""
SIMILARITY = 2.0
"""How much more efficient than the best kernel of its family a kernel may become; Ansor's beta."""
WINDOW = 3
"""Batches over which the past gain is averaged, as in Ansor."""


@dataclass
class TaskState:
    """One kernel's tuning so far."""

    calls: int
    work: int
    """Multiply-accumulates, or values read where there are none."""
    family: str
    best: list[float] = field(default_factory=list)
    """Seconds of the fastest candidate after each batch, infinite while none was valid."""
    exhausted: bool = False
    """Whether the search finds no new candidate."""


def next_kernel(kernels: Sequence[TaskState]) -> int | None:
    """Index of the kernel to tune next; None if all are exhausted.

    Every kernel gets one batch before any gets two.
    """
    open_kernels = [index for index, kernel in enumerate(kernels) if not kernel.exhausted]
    untried = [index for index in open_kernels if not kernels[index].best]
    if untried:
        return untried[0]
    return max(open_kernels, key=lambda index: _gain(kernels[index], kernels), default=None)


def _gain(kernel: TaskState, kernels: Sequence[TaskState]) -> float:
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
    # Optimistic: the same gain again, limited by the efficiency that its family has reached.
    forward = min(now / batches, max(0.0, now - kernel.work / rate))
    return kernel.calls * (BACKWARD * backward + (1 - BACKWARD) * forward)
