"""A sheet and a list of what was read wrong."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from lprnet.measure.accuracy import ReadImage
from lprnet.reports.misread import WRONG, contact_sheet, write_misread
from lprnet.runtime.decode import Plate
from lprnet.synthetic.render import sample_plates


@pytest.fixture
def read(tmp_path: Path) -> list[ReadImage]:
    """Seven images, the first read right, one with nothing, one in characters without a glyph."""
    images = []
    for number, (image, label) in enumerate(sample_plates(7)):
        path = tmp_path / f"{label}-{number}.png"
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        text = {0: label, 1: "", 2: "ÄI" + label[2:]}.get(number, label[:-1] + "?")
        plate = Plate(text, 0.25, tuple(text), (0.5,) * len(text))
        images.append(ReadImage(path, label, plate, False))
    return images


def test_list(read: list[ReadImage], tmp_path: Path) -> None:
    write_misread(read, tmp_path / "wrong.csv")
    rows = list(csv.DictReader((tmp_path / "wrong.csv").open(encoding="utf-8")))
    assert [row["label"] for row in rows] == [one.label for one in read[1:]]
    assert [row["text"] for row in rows] == [one.plate.text for one in read[1:]]
    assert rows[0]["file"] == str(read[1].path)
    assert {row["confidence"] for row in rows} == {"0.250000"}


def test_sheet(read: list[ReadImage], tmp_path: Path) -> None:
    write_misread(read, tmp_path / "wrong.png")
    sheet = cv2.imread(str(tmp_path / "wrong.png"))
    assert sheet is not None
    np.testing.assert_array_equal(sheet, contact_sheet(read[1:]))
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 5
    original = cv2.imread(str(read[3].path))
    np.testing.assert_array_equal(sheet[8 : 8 + 48 : 2, 2 * width + 8 :][:, : 2 * 94 : 2], original)
    red = (sheet == np.array(WRONG, np.uint8)).all(axis=2)
    assert red[:height, 2 * width : 3 * width].any(), "the last character of the third differs"
    assert not red[:height, :width].any(), "nothing was read on the first"
    assert (sheet[height:, width:] == 255).all(), "one image in the second row"


def test_nothing_was_wrong(read: list[ReadImage], tmp_path: Path) -> None:
    write_misread(read[:1], tmp_path / "wrong.png")
    assert cv2.imread(str(tmp_path / "wrong.png")) is not None
    write_misread(read[:1], tmp_path / "wrong.csv")
    assert (tmp_path / "wrong.csv").read_text() == "file,label,text,confidence\n"
