"""All that decides a training run besides its data and the weights it starts from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Sizes, rates and intervals of a run; rates are for AdamW."""

    steps: int
    seed: int = 1
    batch: int = 64
    peak: float = 2e-3
    """The highest rate of a run from random weights."""
    fine_tuning_peak: float = 1e-3
    """The highest rate of a run from a checkpoint."""
    warmup: int = 200
    decaying: float = 0.3
    """Part of the run in which the rate falls to zero."""
    weight_decay: float = 0.02
    slimming: float = 0.02
    """Pull on the batch norms' scales, in learning rates; a checkpoint's channels all stay."""
    average: float = 0.998
    clip: float = 2.0
    ctc_beside_teacher: float = 1.5
    """Weight of the CTC loss where a teacher's divergence, of weight 1, stands beside it. At 0.5 a
    character that falls between two positions stayed below the blank in both and was lost."""
    validation_every: int = 500
    validation_plates: int = 500
    save_seconds: float = 30.0
    minutes: float | None = None
    """The run stops after this time, to be resumed; None: when all steps are done."""
    workers: int | None = None
    """Processes that render ahead; None: one beside a CPU, one a core beside a GPU."""


def schedule(recipe: Recipe, step: int) -> float:
    """The part of the peak rate at step `step` (from 0): up over `warmup`, or a tenth of a short
    run, flat, down over the last `decaying`.
    """
    rising = (step + 1) / min(recipe.warmup, max(1, recipe.steps // 10))
    falling = (recipe.steps - step) / (recipe.decaying * recipe.steps)
    return min(1.0, rising, falling)
