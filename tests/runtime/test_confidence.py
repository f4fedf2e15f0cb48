"""From a probability to a confidence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.runtime.confidence import ConfidenceCalibration


def confidences(calibration: ConfidenceCalibration, *probabilities: float) -> list[float]:
    found: list[float] = calibration.confidences(np.array(probabilities)).tolist()
    return found


AS_IT_IS = ConfidenceCalibration(1, 0, "plates", 10, 0.5)
probabilities = st.floats(0, 1)


@given(st.floats(1e-9, 1 - 1e-9))
def test_a_temperature_of_1_changes_nothing(probability: float) -> None:
    assert confidences(AS_IT_IS, probability) == [pytest.approx(probability, rel=1e-6)]


def test_by_hand() -> None:
    calibration = ConfidenceCalibration(2, 0.5, "plates", 10, 0.5)
    odds = math.sqrt(0.8 / 0.2) * math.exp(0.5)
    assert confidences(calibration, 0.8) == [pytest.approx(odds / (1 + odds))]


@given(probabilities, probabilities, st.floats(0.01, 100), st.floats(-10, 10))
def test_the_order_is_kept(a: float, b: float, temperature: float, bias: float) -> None:
    calibration = ConfidenceCalibration(temperature, bias, "plates", 10, 0.5)
    low, high = sorted((a, b))
    of_low, of_high = confidences(calibration, low, high)
    assert 0 <= of_low <= of_high <= 1


@pytest.mark.parametrize("probability", [0.0, 1.0, 1 + 1e-12, 5e-324])
def test_ends(probability: float) -> None:
    (found,) = confidences(AS_IT_IS, probability)
    assert 0 <= found <= 1


@pytest.mark.parametrize(
    ("temperature", "bias", "threshold"),
    [(0, 0, 0.5), (-1, 0, 0.5), (1, math.inf, 0.5), (1, math.nan, 0.5), (1, 0, 1.5)],
)
def test_what_is_no_calibration(temperature: float, bias: float, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"temperature|confidence"):
        ConfidenceCalibration(temperature, bias, "plates", 10, threshold)
