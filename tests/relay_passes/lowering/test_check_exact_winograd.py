"""When F(2, 3) is exact in bytes: against its formulas, one filter at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_passes.lowering.check_exact_winograd import winograd_is_exact

taps = st.integers(-128, 127)


@given(filters=st.lists(st.tuples(taps, taps, taps), min_size=1, max_size=4), wide=st.booleans())
def test_every_filter_must_be_whole_and_a_byte(
    filters: list[tuple[int, int, int]], wide: bool
) -> None:
    shape = (len(filters), 1, 1, 3) if wide else (len(filters), 1, 3, 1)
    weight = np.array(filters, "int8").reshape(shape)
    expected = all(
        (a + b + c) % 2 == 0 and all(-256 <= s <= 254 for s in (a + b + c, a - b + c))
        for a, b, c in filters
    )
    bias = np.zeros(len(filters), "int32")
    assert winograd_is_exact(weight, bias, 127) == expected


@pytest.mark.parametrize(("shape", "largest"), [((1, 1, 3, 3), 127), ((1, 1, 3, 1), 255)])
def test_other_windows_and_inputs_of_8_bits(shape: tuple[int, ...], largest: int) -> None:
    weight, bias = np.zeros(shape, "int8"), np.zeros(1, "int32")
    assert not winograd_is_exact(weight, bias, largest)
    assert winograd_is_exact(np.zeros((1, 1, 3, 1), "int8"), bias, 127)


def test_sums_stay_in_int32() -> None:
    weight = np.full((1, 64, 3, 1), 84, "int8")
    assert winograd_is_exact(weight, np.array([2**30], "int32"), 127)
    assert not winograd_is_exact(weight, np.array([2**31 - 2**22], "int32"), 127)
