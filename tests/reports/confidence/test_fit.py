"""Calibrations against the truth that samples were drawn from, and bins by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.reports.confidence.fit import calibration_error, fit, precise_at, reliability


def test_the_truth_is_found() -> None:
    """Plates that are right as often as a temperature of 2.5 and a bias of -1 say."""
    rng = np.random.default_rng(0)
    odds = rng.normal(2, 4, 40_000)
    right = rng.random(40_000) < 1 / (1 + np.exp(-(odds / 2.5 - 1)))
    found = fit(1 / (1 + np.exp(-odds)), right, "drawn")
    assert found.temperature == pytest.approx(2.5, rel=0.03)
    assert found.bias == pytest.approx(-1, abs=0.05)
    assert (found.source, found.images) == ("drawn", 40_000)


@pytest.mark.parametrize("right", [[True] * 50, [False] * 50, [False] * 25 + [True] * 25])
def test_plates_that_one_threshold_parts(right: list[bool]) -> None:
    probabilities = np.linspace(0.01, 0.99, 50)
    found = fit(probabilities, np.array(right), "few")
    confidences = found.confidences(probabilities).tolist()
    assert confidences == sorted(confidences)
    for confidence, is_right in zip(confidences, right, strict=True):
        assert (confidence > 0.5) == is_right or abs(confidence - 0.5) < 0.3


def test_certain_and_impossible_plates() -> None:
    found = fit(np.array([0.0, 1.0, 0.5, 1.0]), np.array([False, True, True, True]), "ends")
    assert math.isfinite(found.temperature)
    impossible, certain = found.confidences(np.array([0.0, 1.0]))
    assert certain > impossible


def test_precise_at_by_hand() -> None:
    confidences = np.array([0.9, 0.8, 0.7, 0.7, 0.2])
    right = np.array([True, True, True, False, True])
    assert precise_at(confidences, right, 1.0) == 0.8
    assert precise_at(confidences, right, 0.75) == 0.2
    assert precise_at(confidences, np.zeros(5, bool), 0.5) == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_threshold_keeps_its_promise(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    confidences, right = rng.choice([0.1, 0.5, 0.6, 0.9], count), rng.random(count) < 0.8
    threshold = precise_at(confidences, right, 0.7)
    accepted = right[confidences >= threshold]
    assert not accepted.size or accepted.mean() >= 0.7


def test_bins_have_equal_mass_and_the_error_is_their_mean() -> None:
    confidences = np.array([0.1, 0.2, 0.3, 0.9, 0.9, 0.9])
    right = np.array([False, False, True, True, True, True])
    bins = reliability(confidences, right, 2)
    assert [one.plates for one in bins] == [3, 3]
    assert [one.confidence for one in bins] == pytest.approx([0.2, 0.9])
    assert [one.right for one in bins] == pytest.approx([1 / 3, 1])
    assert calibration_error(bins) == pytest.approx((1 / 3 - 0.2) / 2 + 0.1 / 2)
