"""The rules of GA 36-2018, and what re-ranking by them changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lprnet.alphabet import DIGITS, LETTERS, PROVINCES
from lprnet.checkpoint import load_model
from lprnet.decode import Plate, beam_search
from lprnet.grammar import is_plate, prefer_plates
from lprnet.images import label_of, list_images, normalise, read_image
from tests.conftest import RealData

serial = st.sampled_from(DIGITS + LETTERS)
digit = st.sampled_from(DIGITS)
energy = st.sampled_from("ABCDEFGHJK")
head = st.tuples(st.sampled_from(PROVINCES), st.sampled_from(LETTERS))


@given(head, st.lists(serial, min_size=5, max_size=5))
def test_ordinary(head: tuple[str, str], serial: list[str]) -> None:
    assert is_plate("".join(head) + "".join(serial))


@given(head, energy, serial, st.lists(digit, min_size=5, max_size=5))
def test_new_energy(head: tuple[str, str], letter: str, second: str, digits: list[str]) -> None:
    small = letter + second + "".join(digits[:4])
    large = "".join(digits) + letter
    assert is_plate("".join(head) + small)
    assert is_plate("".join(head) + large)


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
    assert not is_plate(text)


def test_allowed_numbers_come_first_in_their_order() -> None:
    hypotheses = [
        Plate(text, confidence, ())
        for text, confidence in [
            ("皖A123451", 0.5),
            ("皖A12345", 0.2),
            ("皖A1245", 0.1),
            ("皖A12341", 0.05),
        ]
    ]
    ranked = [plate.text for plate in prefer_plates(hypotheses)]
    assert ranked == ["皖A12345", "皖A12341", "皖A123451", "皖A1245"]
    nothing_allowed = [hypotheses[0], hypotheses[2]]
    assert prefer_plates(nothing_allowed) == nothing_allowed


def test_real_plates_obey_and_gain(real_data: RealData) -> None:
    paths = list_images([str(real_data.images)])
    labels = [label_of(path) for path in paths]
    assert all(map(is_plate, labels))
    paths, labels = paths[::10], labels[::10]
    model = load_model(real_data.checkpoint)
    images = normalise(np.stack([read_image(path) for path in paths]))
    with torch.inference_mode():
        found = beam_search(model(torch.from_numpy(images)).numpy())
    best = [plates[0].text for plates in found]
    ranked = [prefer_plates(plates)[0].text for plates in found]
    assert correct(ranked, labels) > correct(best, labels)


def correct(texts: list[str], labels: list[str]) -> int:
    return sum(text == label for text, label in zip(texts, labels, strict=True))
