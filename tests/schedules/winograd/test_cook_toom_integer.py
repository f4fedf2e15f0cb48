"""F(m, 3) in integers: a 3-tap filter after its division, on bytes within 16 bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.winograd.cook_toom import MAX_OUTPUTS
from schedules.winograd.cook_toom_integer import integer_filter

EVERY = range(1, MAX_OUTPUTS + 1)


@settings(max_examples=60)
@given(
    outputs=st.integers(1, MAX_OUTPUTS),
    taps=st.lists(st.integers(-128, 127), min_size=3, max_size=3),
    data=st.lists(st.integers(0, 255), min_size=MAX_OUTPUTS + 2, max_size=MAX_OUTPUTS + 2),
)
def test_it_filters(outputs: int, taps: list[int], data: list[int]) -> None:
    algorithm = integer_filter(outputs)
    pixels = data[: outputs + 2]
    u, v = np.array(algorithm.weight) @ taps, np.array(algorithm.input) @ pixels
    filtered = np.array(algorithm.output) @ (u * v)
    exact = [sum(pixels[i + k] * taps[k] for k in range(3)) for i in range(outputs)]
    assert filtered.tolist() == [algorithm.divisor * value for value in exact]


@pytest.mark.parametrize("outputs", EVERY)
def test_transformed_bytes_fit_16_bits(outputs: int) -> None:
    algorithm = integer_filter(outputs)
    for row in np.array(algorithm.input):
        assert 255 * row.clip(min=0).sum() < 2**15
        assert 255 * -row.clip(max=0).sum() <= 2**15
    assert 128 * abs(np.array(algorithm.weight)).sum(1).max() < 2**15


@pytest.mark.parametrize("outputs", EVERY)
@pytest.mark.parametrize("value", [0, 1, -1, 127 * 255 * 192, -(127 * 255 * 192)])
def test_a_multiple_is_divided_modulo_2_to_the_32(outputs: int, value: int) -> None:
    algorithm = integer_filter(outputs)
    assert -(2**31) <= algorithm.inverse < 2**31
    multiple = algorithm.divisor * value % 2**32
    product = multiple * algorithm.inverse % 2**32
    signed = product - 2**32 if product >= 2**31 else product
    assert signed >> algorithm.shift == value


def test_its_divisors() -> None:
    assert [integer_filter(outputs).divisor for outputs in EVERY] == [1, 2, 6, 24, 360, 360]
