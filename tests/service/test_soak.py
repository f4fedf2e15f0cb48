"""A soak of seconds finds a wrong text and nothing else; `python -m tests.soak` takes an hour."""

import os
from pathlib import Path

import pytest

from lprnet.runtime.recognizer import Recognizer
from tests.soak import __main__ as soak
from tests.soak.pictures import Picture, pictures
from tests.soak.watch import Watched


def test_a_text_that_is_not_expected_is_found_and_nothing_else(
    letter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_is_wrong(recognizer: Recognizer) -> tuple[list[Picture], list[Picture]]:
        good, bad = pictures(recognizer)
        return [Picture(good[0].content, "B"), *good[1:]], bad

    monkeypatch.setattr(soak, "pictures", one_is_wrong)
    found = soak.soak(letter, 5, tmp_path)
    failed = found["failed"]
    assert isinstance(failed, dict)
    assert failed.keys() - {"grown"} == {"wrong answers of the service"}
    assert found["clients with faults"]


def test_growth_is_that_of_the_last_tenth() -> None:
    watched = Watched(os.getpid())
    watched.look()
    assert watched.kilobytes[0] > 1000
    assert watched.files[0] > 2
    watched.kilobytes = [100, 100, 200, 200, *[200] * 14, 230, 230]
    assert watched.growth() == pytest.approx(1.15)
