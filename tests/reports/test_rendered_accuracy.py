"""Accuracy on rendered plates: counted with a network that is told the texts."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.commands import evaluate as command
from lprnet.model.alphabets import find_alphabet
from lprnet.reports import rendered_accuracy
from lprnet.reports.rendered_accuracy import DIFFICULTIES, KINDS, evaluate_rendered
from lprnet.runtime.alphabet import BLANK, CHINA, INDEX
from lprnet.runtime.decode import Logits
from lprnet.runtime.image_format import PUBLISHED
from lprnet.support.errors import UserError
from lprnet.synthetic.render import SAMPLE_SEED, render
from lprnet.synthetic.two_rows import render_two_rows

COUNT = 4


@pytest.fixture(scope="module")
def texts() -> dict[bytes, str]:
    """The text of each plate that is read, by its pixels."""
    found = {}
    for kind in KINDS:
        for difficulty in DIFFICULTIES:
            for index in range(COUNT):
                image, text = KINDS[kind](index, difficulty)
                found[image.tobytes()] = text
    return found


def network(texts: dict[bytes, str], misread: str) -> Logits:
    """Reads each plate right, but nothing at all where the text has a character of `misread`."""

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        result = np.zeros((1, 68, 18), np.float32)
        result[0, BLANK] = 10
        text = texts[images[0].tobytes()]
        for position, character in enumerate(text):
            if not set(misread) & set(text):
                result[0, INDEX[character], 2 * position] = 20
        return result

    return logits


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, texts: dict[bytes, str]) -> None:
    """A network that misreads plates of the province of the first sample plate."""
    province = render(SAMPLE_SEED, 0)[1][0]
    monkeypatch.setattr(
        rendered_accuracy, "open_backend", lambda path, backend, stated: network(texts, province)
    )
    monkeypatch.setattr(
        rendered_accuracy, "reads_and_means", lambda path, stated: (PUBLISHED, CHINA)
    )


@pytest.mark.usefixtures("reads")
def test_right_texts_are_counted_by_kind_difficulty_and_province() -> None:
    province = render(SAMPLE_SEED, 0)[1][0]
    result = evaluate_rendered(Path("x.so"), COUNT)
    assert (result.file, result.backend, result.plates) == ("x.so", "tvm", COUNT)
    # Text and kind are drawn before what the difficulty changes.
    mixed = [render(SAMPLE_SEED, index)[1] for index in range(COUNT)]
    two_rows = [render_two_rows(SAMPLE_SEED, index)[2] for index in range(COUNT)]
    for kind, plates in (("all", mixed), ("two rows", two_rows)):
        share = sum(province not in text for text in plates) / COUNT
        assert result.right[kind] == {str(difficulty): share for difficulty in DIFFICULTIES}
    others = {name: share for name, share in result.provinces.items() if name != province}
    assert result.provinces[province] == 0
    assert set(others.values()) == {1.0}
    assert f"least read provinces: {province} 0.0%" in result.sentence()


def test_each_kind_is_what_its_column_says(texts: dict[bytes, str]) -> None:
    for kind, length in (("blue", 7), ("green", 8), ("yellow", 7), ("two rows", 7)):
        read = {texts[KINDS[kind](index, 1.0)[0].tobytes()] for index in range(COUNT)}
        assert {len(text) for text in read} == {length}
    blue, yellow = (KINDS[kind](0, 0.0)[0].reshape(-1, 3).mean(0) for kind in ("blue", "yellow"))
    assert blue[0] > blue[2], "BGR"
    assert yellow[0] < yellow[2]


def test_another_alphabet_has_no_rendered_plates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        rendered_accuracy,
        "reads_and_means",
        lambda path, stated: (PUBLISHED, find_alphabet("latin")),
    )
    with pytest.raises(UserError, match=r"x\.so does not read China's plates.*give labelled"):
        evaluate_rendered(Path("x.so"), COUNT)


@pytest.mark.usefixtures("reads")
def test_the_command_prints_a_table_or_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from argparse import ArgumentParser

    parser = ArgumentParser()
    command.add_arguments(parser)
    file = tmp_path / "lprnet.so"
    file.touch()
    arguments = [str(file), "--rendered", str(COUNT)]
    command.run(parser.parse_args(arguments))
    lines = capsys.readouterr().out.splitlines()
    assert all(kind in lines[1] for kind in KINDS)
    assert max(map(len, lines[:-1])) <= 80
    command.run(parser.parse_args([*arguments, "--json"]))
    assert json.loads(capsys.readouterr().out)["plates"] == COUNT
    with pytest.raises(UserError, match="--misread and --rows are for images of --data"):
        command.run(parser.parse_args([*arguments, "--rows", "2"]))
