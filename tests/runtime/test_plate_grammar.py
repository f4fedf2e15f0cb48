"""The rules of GA 36-2018."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.model.alphabets import find_alphabet
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.image_paths import label_of, list_images
from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES
from tests.conftest import RealData

serial = st.sampled_from(DIGITS + LETTERS)
digit = st.sampled_from(DIGITS)
energy = st.sampled_from("ABCDEFGHJK")
head = st.tuples(st.sampled_from(PROVINCES), st.sampled_from(LETTERS))


@given(head, st.lists(serial, min_size=5, max_size=5))
def test_ordinary(head: tuple[str, str], serial: list[str]) -> None:
    assert CHINA.is_plate("".join(head) + "".join(serial))


@given(head, energy, serial, st.lists(digit, min_size=5, max_size=5))
def test_new_energy(head: tuple[str, str], letter: str, second: str, digits: list[str]) -> None:
    small = letter + second + "".join(digits[:4])
    large = "".join(digits) + letter
    assert CHINA.is_plate("".join(head) + small)
    assert CHINA.is_plate("".join(head) + large)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "皖A1234",  # too short
        "AA12345",  # no province
        "皖112345",  # no office
        "皖I12345",  # no such office
        "皖A1234I",  # I in the serial
        "皖A1234O",  # O in the serial
        "皖皖A12345",  # two provinces
        "皖A123456",  # eight characters and no class letter
        "皖AM12345",  # M is no class letter
        "皖A12345M",
        "皖AD1234A",  # the last four are digits
        "皖AD123456",  # too long
        "皖a12345",
        "皖A１2345",  # a full-width digit
        "皖A12345\n",
    ],
)
def test_not_a_plate(text: str) -> None:
    assert not CHINA.is_plate(text)


def test_real_plates_obey(real_data: RealData) -> None:
    assert all(CHINA.is_plate(label_of(path)) for path in list_images([str(real_data.images)]))


@pytest.mark.parametrize(
    ("text", "is_plate"),
    [
        ("京A0006警", True),
        ("沪A0023领", True),
        ("皖B12A4学", True),
        ("苏E1234挂", True),
        ("粤Z1234港", True),
        ("粤ZF023澳", True),
        ("使014578", True),
        ("皖A12345", True),
        ("皖AD12345", True),
        ("京A00061警", False),  # eight characters
        ("京警0006A", False),  # the mark is not the last
        ("粤A1234港", False),  # only Z crosses that border
        ("皖A1234使", False),
        ("使01457A", False),
        ("皖A123警挂", False),
    ],
)
def test_marks(text: str, is_plate: bool) -> None:
    assert find_alphabet("china-marks").is_plate(text) == is_plate
    assert CHINA.is_plate(text) == (is_plate and set(text) <= set(CHINA.characters))
