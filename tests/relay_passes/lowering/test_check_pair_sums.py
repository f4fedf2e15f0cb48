import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_passes.lowering.check_pair_sums import PairSumError, check_pair_sums


@pytest.mark.parametrize(
    ("pair", "largest_input"),
    [((64, 64), 255), ((-64, -64), 255), ((127, 1), 255), ((127, -128), 255), ((127, 127), 127)],
)
def test_what_fits_16_bits(pair: tuple[int, int], largest_input: int) -> None:
    check_pair_sums(np.array([[0, 0, *pair]], "int8"), largest_input)


@pytest.mark.parametrize(
    ("pair", "largest_input"),
    [((64, 65), 255), ((-64, -65), 255), ((127, 2), 255), ((127, 127), 255), ((-128, -1), 255)],
)
def test_what_would_saturate_is_refused(pair: tuple[int, int], largest_input: int) -> None:
    with pytest.raises(PairSumError, match="16-bit sums"):
        check_pair_sums(np.array([[*pair, 0, 0]], "int8"), largest_input)


def test_neighbours_of_two_pairs_are_not_added() -> None:
    check_pair_sums(np.array([0, 127, 127, 0], "int8"), 255)


@settings(max_examples=50)
@given(
    pair=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    largest_input=st.sampled_from([127, 255]),
)
def test_against_every_corner_of_the_inputs(pair: tuple[int, int], largest_input: int) -> None:
    ends = (0, largest_input)
    sums = [a * pair[0] + b * pair[1] for a in ends for b in ends]
    fits = min(sums) >= -(2**15) and max(sums) < 2**15
    try:
        check_pair_sums(np.array(pair, "int8"), largest_input)
    except PairSumError:
        assert not fits
    else:
        assert fits
