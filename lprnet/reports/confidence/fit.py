"""From probabilities and what was right to a calibration, and how far one can be trusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.confidence import ConfidenceCalibration, log_odds

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BINS = 15
"""Of equal mass, as in Nguyen and O'Connor, EMNLP 2015: equal widths would leave most empty."""
PRECISION = 0.99
STEPS = 100


def fit(probabilities: Floats, right: Flags, source: str) -> ConfidenceCalibration:
    """The calibration of N plates with these CTC probabilities, by Platt's method.

    His targets stand a little inside 0 and 1 (his equation 2), so that plates that are all right
    have a fit as well.
    """
    x = np.column_stack([log_odds(probabilities), np.ones(len(right))])
    positive, negative = right.sum(), (~right).sum()
    target = np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weights = np.array([1.0, 0.0])
    for _ in range(STEPS):  # Newton's method; the loss is convex
        found = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (found - target)
        curve = (x.T * (found * (1 - found))) @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        # Far from the solution a whole step may overshoot.
        weights -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    scale = max(float(weights[0]), 1e-3)  # a network whose probabilities say nothing
    unfinished = ConfidenceCalibration(1 / scale, float(weights[1]), source, len(right), 1.0)
    confidences = unfinished.confidences(probabilities)
    threshold = precise_at(confidences, right)
    return ConfidenceCalibration(1 / scale, float(weights[1]), source, len(right), threshold)


def precise_at(confidences: Floats, right: Flags, precision: float = PRECISION) -> float:
    """The least confidence c such that of the plates with at least c this share is right; 1 if
    there is none.
    """
    order = np.argsort(-confidences, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Plates of one confidence are accepted or rejected together.
    last = np.append(np.diff(confidences[order]) < 0, True)
    enough = np.flatnonzero((share >= precision) & last)
    return float(confidences[order[enough[-1]]]) if enough.size else 1.0


@dataclass(frozen=True)
class Bin:
    """Plates of neighbouring confidences."""

    plates: int
    confidence: float
    """Their mean."""
    right: float
    """The share that is right."""


def reliability(confidences: Floats, right: Flags, bins: int = BINS) -> list[Bin]:
    """The plates in `bins` of as many plates each, by rising confidence."""
    order = np.argsort(confidences, kind="stable")
    return [
        Bin(len(part), float(confidences[part].mean()), float(right[part].mean()))
        for part in np.array_split(order, min(bins, len(order)))
    ]


def calibration_error(bins: list[Bin]) -> float:
    """The expected calibration error: by how much confidence and share of right plates differ, the
    mean over plates (Guo et al., equation 3).
    """
    plates = sum(one.plates for one in bins)
    return sum(one.plates / plates * abs(one.confidence - one.right) for one in bins)
