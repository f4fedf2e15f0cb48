import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_passes.lowering.check_int16_results import fit_int16


def fits(weight: list[int], bias: int, multiplier: float, largest_input: int = 255) -> bool:
    return fit_int16(
        np.array(weight, "int8").reshape(1, -1, 1, 1),
        np.array([bias], "int32"),
        np.array([multiplier], "float32"),
        largest_input,
    )


def test_inputs_that_add_up_count_and_not_their_mixture() -> None:
    assert fits([100, -100], 0, 1.25)
    assert not fits([100, 100], 0, 1.25)
    assert not fits([-100, -100], 0, 1.25)
    assert fits([100, 100], 0, 1.25, largest_input=127)


def test_the_bias_counts_on_its_side() -> None:
    assert fits([100], -25500, 1.25)
    assert not fits([100], 25500, 1.25)


def test_one_channel_of_many_is_enough_to_refuse() -> None:
    weight = np.full((3, 1, 1, 1), 100, "int8")
    multiplier = np.array([0.1, 0.1, 1.3], "float32")
    assert fit_int16(weight[:2], np.zeros(2, "int32"), multiplier[:2], 255)
    assert not fit_int16(weight, np.zeros(3, "int32"), multiplier, 255)


@settings(max_examples=100)
@given(
    weight=st.lists(st.integers(-128, 127), min_size=1, max_size=4),
    bias=st.integers(-(2**20), 2**20),
    multiplier=st.floats(0, 1, width=32),
)
def test_against_every_corner_of_the_inputs(
    weight: list[int], bias: int, multiplier: float
) -> None:
    """Never allowed where a result does not fit; refused only near the end of int16."""
    corners = [bias]
    for tap in weight:
        corners += [corner + 255 * tap for corner in corners]
    exact = np.array(corners, "float32").astype("float64") * multiplier
    results = np.rint(exact)
    if fits(weight, bias, multiplier):
        assert results.min() >= -(2**15)
        assert results.max() < 2**15
    else:
        assert abs(exact).max() > 2**15 - 2
