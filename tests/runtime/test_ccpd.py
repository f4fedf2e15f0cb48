"""File names of CCPD: the plate is the fifth field, as indices."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.runtime.ccpd import ccpd_plate
from lprnet.runtime.image_paths import label_of
from lprnet.support.errors import UserError

# The example of CCPD's own description, whose plate it gives as 皖AY339S, and a new-energy plate.
NAME = "025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-{}-37-15"
EXAMPLE = NAME.format("0_0_22_27_27_33_16")


def test_the_example_of_the_data_set() -> None:
    assert ccpd_plate(EXAMPLE) == "皖AY339S"
    assert label_of(Path("ccpd_base", f"{EXAMPLE}.jpg")) == "皖AY339S"
    assert label_of(Path(f"{NAME.format('0_0_3_24_28_24_31_33')}.jpg")) == "皖AD04079"


@pytest.mark.parametrize(
    ("plate", "reason"),
    [
        ("31_0_22_27_27_33_16", "'警' is no character"),
        ("33_0_22_27_27_33_16", "is the number of no plate"),
        ("0_0_22_27_27_33_34", "is the number of no plate"),
        ("0_0_22_27_27_33_35", r"'\?' is no character"),
        ("99999999999999999999_0_22_27_27_33_1", r"'\?' is no character"),
    ],
)
def test_a_plate_outside_the_alphabet_is_refused_by_name(plate: str, reason: str) -> None:
    """Not read as 025, which a network would learn, or be told that it misread."""
    with pytest.raises(UserError, match=rf"025-95.*{reason}"):
        label_of(Path(f"{NAME.format(plate)}.jpg"))


@pytest.mark.parametrize(
    "name", ["皖A12345", "皖A12345-1-2-3-4", "1234", "a-b-1&2_3&4-c-1_2_3-d", f"{EXAMPLE[:-40]}"]
)
def test_other_names_are_none_of_its(name: str) -> None:
    assert ccpd_plate(name) is None


@given(st.text())
def test_any_name_is_read_or_refused(name: str) -> None:
    path = Path(f"{name.replace('/', '').replace(chr(0), '')}x.jpg")
    with contextlib.suppress(UserError):
        assert 7 <= len(label_of(path)) <= 8
