"""F(m, 3) in exact arithmetic: it is a 3-tap filter, with the products it promises."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.winograd.cook_toom import MAX_OUTPUTS, Row, minimal_filter

numbers = st.fractions(-9, 9, max_denominator=8)


def times(matrix: tuple[Row, ...], vector: list[Fraction]) -> list[Fraction]:
    zero = Fraction(0)
    return [sum((a * b for a, b in zip(row, vector, strict=True)), zero) for row in matrix]


@settings(max_examples=50)
@given(
    outputs=st.integers(1, MAX_OUTPUTS),
    taps=st.lists(numbers, min_size=3, max_size=3),
    data=st.lists(numbers, min_size=MAX_OUTPUTS + 2, max_size=MAX_OUTPUTS + 2),
)
def test_it_filters(outputs: int, taps: list[Fraction], data: list[Fraction]) -> None:
    algorithm = minimal_filter(outputs)
    u, v = times(algorithm.weight, taps), times(algorithm.input, data[: outputs + 2])
    assert len(u) == len(v) == algorithm.products == outputs + 2
    filtered = times(algorithm.output, [a * b for a, b in zip(u, v, strict=True)])
    assert filtered == [sum(data[i + k] * taps[k] for k in range(3)) for i in range(outputs)]


@pytest.mark.parametrize("outputs", range(1, MAX_OUTPUTS + 1))
def test_the_last_coefficient_of_an_input_row_is_positive(outputs: int) -> None:
    for row in minimal_filter(outputs).input:
        assert next(value for value in reversed(row) if value) > 0


def test_f_2_3_is_the_one_that_lavin_and_gray_print() -> None:
    """Their input matrix is (1 0 -1 0), (0 1 1 0), (0 -1 1 0), (0 1 0 -1), up to a sign a row."""
    rows = {tuple(map(int, row)) for row in minimal_filter(2).input}
    printed = {(-1, 0, 1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)}
    assert rows == printed
