"""How sure a plate is: from the probability that a network gives its text to one that is kept."""

import math

import numpy as np

from lprnet.runtime.ctc import Floats
from lprnet.runtime.record import record

MIN_PROBABILITY = 2.0**-53
"""Probabilities are kept this far from 0 and 1, which have no odds."""


@record(frozen=True)
class ConfidenceCalibration:
    """A plate of CTC probability p is right with probability `sigmoid(logit(p) / temperature +
    bias)`.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999; with a bias of 0 it is the
    temperature scaling of Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
    section 4.2. It keeps the order of plates. Raises `ValueError` for a temperature that does not.
    """

    temperature: float
    bias: float
    source: str
    """What it was fitted on, in words."""
    images: int
    """How many."""
    precise_at: float
    """Of the plates of that source with at least this confidence 99 % are right; 1 if none are."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature <= 1e6 or not abs(self.bias) <= 1e6:
            raise ValueError(f"a temperature of {self.temperature} with a bias of {self.bias}")
        if not 0 <= self.precise_at <= 1:
            raise ValueError(f"no confidence is {self.precise_at}")

    def confidences(self, probabilities: Floats) -> Floats:
        """`(N,)`: those of plates whose texts have these CTC probabilities."""
        odds = log_odds(probabilities) / self.temperature + self.bias
        tanh = math.tanh
        return np.array([(1 + tanh(half)) / 2 for half in (odds / 2).tolist()])  # the sigmoid


def log_odds(probabilities: Floats) -> Floats:
    """`log(p / (1 - p))` of each, finite for any p from 0 to 1 and for one just beyond by rounding.

    By the C library, as `tanh` above: the last digits of NumPy's depend on the CPU.
    """
    log, log1p = math.log, math.log1p
    kept = probabilities.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY).tolist()
    return np.array([log(p) - log1p(-p) for p in kept])
