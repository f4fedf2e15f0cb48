"""How a pruned network is trained: all that its weights depend on beside the two networks."""

import math
from dataclasses import dataclass

from lprnet.distillation.training_plates import TrainingPlates

DEFAULT_STEPS = 2000
"""A quarter of an hour on one core of a server, the plates rendered included."""
MAX_PLATES = 200_000
"""Rendered plates on disk, 1.4 GB. Augmentation makes each one new every time."""
VIEWS = 8
"""How often each rendered plate is seen, where there are less than `MAX_PLATES`."""
PLATES = TrainingPlates(seed=91_000_001)


@dataclass(frozen=True)
class Recipe:
    """Steps towards the unpruned network's answers."""

    steps: int
    batch: int = 64
    own: int = 6
    """Of each batch, cut and joined from the user's images; the others are rendered."""
    learning_rate: float = 2e-2
    """Relative to the root mean square of each tensor."""
    warm_up: int = 200
    """Steps over which the rate rises."""
    falls_from: float = 0.3
    """The part of all steps after which the rate falls, linearly to 0."""
    averaged: float = 0.999
    """How much of the moving average of all weights, which is the result, a step keeps."""
    seed: int = 0

    @property
    def plates(self) -> int:
        """How many plates are rendered."""
        return min(MAX_PLATES, math.ceil(self.steps * (self.batch - self.own) / VIEWS))

    def rate(self, step: int) -> float:
        """The relative learning rate of step `step`, counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up)
        falling = min(1.0, (1 - step / self.steps) / (1 - self.falls_from))
        return self.learning_rate * rising * falling
