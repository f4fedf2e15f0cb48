"""Counting correct images: by hand on made ones, in the script's output, on real ones."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.measure import accuracy
from lprnet.measure.accuracy import Evaluation, edit_distance, evaluate, read_labelled
from lprnet.model.checkpoint import save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.alphabet import BLANK, CHINA, INDEX
from lprnet.runtime.image_format import PUBLISHED
from lprnet.runtime.image_paths import list_images
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.conftest import PROJECT, RealData

LABELS = ["皖A12345", "京B23456", "沪C34567", "粤D45678"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four plain images; the fake network below reads the plate from the grey value."""
    directory = tmp_path / "data"
    directory.mkdir()
    for value, label in enumerate(LABELS):
        grey = np.full((24, 94, 3), value, np.uint8)
        (directory / f"{label}-1.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    return directory


def network(texts: list[str]) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Reads `texts[v]` on an image of grey value v."""

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert images.shape == (1, 24, 94, 3), "one image at a time"
        result = np.zeros((1, 68, 18), np.float32)
        result[0, BLANK] = 10
        for position, character in enumerate(texts[images[0, 0, 0, 0]]):
            result[0, INDEX[character], 2 * position] = 20
        return result

    return logits


def test_a_newline_in_a_path_starts_no_line() -> None:
    found = Evaluation("two\nlines.so", "tvm", False, 1, 1, 1.0, 2, 1, 1)
    assert str(found).splitlines()[0] == r"two\nlines.so in tvm"


def test_only_whole_texts_count(data: Path) -> None:
    texts = ["皖A12345", "京B23457", "沪C3456", "粤D45678"]
    paths = list_images([str(data)])
    labels = [path.stem[:7] for path in paths]
    right = [one.path for one in read_labelled(network(texts), paths, labels) if one.right]
    assert {path.name for path in right} == {"皖A12345-1.png", "粤D45678-1.png"}


def test_two_rows_are_set_into_one_first(tmp_path: Path) -> None:
    """The upper row is white and the lower black; of one row the left is white."""
    picture = np.zeros((48, 96, 3), np.uint8)
    picture[:18] = 255
    file = tmp_path / f"{LABELS[0]}.png"
    file.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    seen: list[NDArray[np.uint8]] = []

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(images[0])
        return np.zeros((1, 68, 18), np.float32)

    for rows in ("1", "2", "auto"):
        read_labelled(logits, [file], LABELS[:1], rows=rows)
    one, two, auto = (image.mean(axis=(0, 2)) for image in seen)
    assert np.ptp(one) == 0
    assert two[0] == 255
    assert two[-1] == 0
    np.testing.assert_array_equal(two, auto)


def test_the_grammar_changes_what_is_read(data: Path) -> None:
    texts = [f"{label}O" for label in LABELS]
    paths = list_images([str(data)])
    labels = [path.stem[:7] for path in paths]

    def doubtful(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = network(texts)(images)
        logits[0, INDEX["O"]] *= 0.51
        return logits

    assert not any(one.right for one in read_labelled(doubtful, paths, labels))
    assert all(one.right for one in read_labelled(doubtful, paths, labels, grammar=True))


def test_the_right_text_among_the_top_three(data: Path) -> None:
    """The last character is doubtful: 6 before 5, then 7."""
    paths = list_images([str(data)])

    def doubtful(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = network([label[:-1] for label in LABELS])(images)
        for character, height in (("6", 20), ("5", 19.5), ("7", 19), ("8", 18.5)):
            logits[0, INDEX[character], 12] = height
        return logits

    for wanted, found in (("6", True), ("5", True), ("7", True), ("8", False)):
        labels = [path.stem[:6] + wanted for path in paths]
        for read in read_labelled(doubtful, paths, labels, top=3):
            assert read.among_top == found
            assert read.right == (wanted == "6")


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_edit_distance_by_definition(text: str, label: str) -> None:
    """The recursion that defines it, without a table."""

    @cache
    def distance(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        replaced = distance(a[1:], b[1:]) + (a[0] != b[0])
        return min(replaced, distance(a[1:], b) + 1, distance(a, b[1:]) + 1)

    assert edit_distance(text, label) == distance(text, label)


def test_images_of_the_calibration_are_counted_apart(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [LABELS[0], "", LABELS[2], LABELS[3]]
    manifest = SimpleNamespace(calibration=(f"{LABELS[0]}-1.png", "elsewhere.png"))
    monkeypatch.setattr(accuracy, "open_backend", lambda path, backend, stated: network(texts))
    monkeypatch.setattr(accuracy, "reads_and_means", lambda path, stated: (PUBLISHED, CHINA))
    monkeypatch.setattr(accuracy, "read_manifest", lambda path: manifest)
    result, read = evaluate(Path("x.so"), data)
    assert result == Evaluation("x.so", "tvm", False, 3, 3, 21 / 28, 4, 2, 3)
    assert [one.label for one in read if not one.right] == [LABELS[1]]
    assert str(result).splitlines()[1:] == [
        "3/4 correct (75.00%), 3 among the top three, 75.00% of the characters",
        "2/3 correct (66.67%) of the images that nothing was calibrated on",
    ]


def test_user_errors(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent does not exist; name a folder"):
        evaluate(Path("m.pth"), tmp_path / "absent")
    (data / "photo.png").touch()
    with pytest.raises(UserError, match="not named after its plate"):
        evaluate(DEFAULT_CHECKPOINT, data)


def script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROJECT / "scripts" / "evaluate.py", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_script(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    checkpoint = tmp_path / "m.safetensors"
    save_model(LPRNet(), checkpoint)
    result = script(checkpoint, "--data", data, "--json")
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert content == {
        "file": str(checkpoint),
        "backend": "torch",
        "grammar": False,
        "correct": 0,
        "among_top_three": 0,
        "character_accuracy": content["character_accuracy"],
        "total": 4,
        "uncalibrated_correct": 0,
        "uncalibrated_total": 4,
    }
    result = script(tmp_path / "absent.pth", "--data", data)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


def test_real_checkpoint(real_data: RealData, tmp_path: Path) -> None:
    """Every twentieth image; the whole set with per-image norm is 894 of 1000."""
    for path in list_images([str(real_data.images)])[::20]:
        (tmp_path / path.name).symlink_to(path)
    with subnormals_as_zero():
        result, read = evaluate(real_data.checkpoint, tmp_path)
    assert result.total == len(read) == 50
    assert result.correct <= result.among_top_three
    assert 0.98 <= result.character_accuracy < 1
    assert result.correct >= 45
