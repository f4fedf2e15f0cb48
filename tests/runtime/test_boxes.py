"""Plates in pictures: against OpenCV's resize, and a plate that was put into perspective."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.runtime.boxes import Box, cut
from lprnet.runtime.boxes_file import read_boxes
from lprnet.runtime.image_format import PUBLISHED, ImageFormat
from lprnet.support.errors import UserError
from tests.conftest import PROJECT
from tests.runtime.image_files import picture

numbers = st.floats() | st.integers(-200, 400).map(float)


def test_an_upright_box_is_the_crop_resized() -> None:
    image = picture(200, 300)
    expected = cv2.resize(image[10:60, 20:170], (94, 24))
    np.testing.assert_array_equal(cut(image, Box((19.6, 10.4, 170.2, 59.7))), expected)
    inside = cv2.resize(image[:60, 250:], (94, 24))
    np.testing.assert_array_equal(cut(image, Box((250, -50, 900, 60))), inside)


def test_four_corners_of_an_upright_box_are_nearly_the_same_crop() -> None:
    """Within the crop: at its rim a homography sees the pixels outside, and `resize` does not."""
    image = cv2.GaussianBlur(picture(200, 300), (0, 0), 2).astype(np.uint8)
    upright = cut(image, Box((20, 10, 170, 60))).astype(int)
    cornered = cut(image, Box((20, 10, 170, 10, 170, 60, 20, 60))).astype(int)
    assert np.abs(upright - cornered)[1:-1, 1:-1].max() <= 2


def test_a_plate_in_perspective_is_rectified() -> None:
    plate = cv2.GaussianBlur(picture(24, 94), (0, 0), 3)
    corners = np.array([[60, 40], [250, 70], [240, 130], [55, 90]], np.float32)
    ends = np.array([[0, 0], [94, 0], [94, 24], [0, 24]], np.float32)
    homography = cv2.getPerspectiveTransform(ends - 0.5, corners - 0.5)
    street = cv2.warpPerspective(
        plate, homography, (300, 200), borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)
    found = cut(street, Box(tuple(corners.ravel().tolist())))
    assert np.abs(found.astype(int) - plate).mean() < 1
    letterboxed = cut(
        street, Box(tuple(corners.ravel().tolist())), ImageFormat(94, 94, 3, "letterbox", 7)
    )
    assert (letterboxed[0] == 7).all()
    assert (letterboxed[47] != 7).any()


@given(st.lists(numbers, min_size=3, max_size=9))
@settings(max_examples=300)
def test_any_numbers_give_pixels_or_a_sentence(values: list[float]) -> None:
    try:
        pixels = cut(picture(50, 60), Box(tuple(values)))
    except (ValueError, UserError):
        return
    assert pixels.shape == PUBLISHED.shape
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(
    "wrong",
    [
        (0.0, 0.0, 0.0, 5.0),
        (9.0, 0.0, 5.0, 5.0),
        (0.0, 0.0, 0.0, 5.0, 9.0, 5.0, 9.0, 0.0),  # the other way around
        (0.0, 0.0, 9.0, 5.0, 9.0, 0.0, 0.0, 5.0),  # sides that cross
        (float("nan"), 0.0, 5.0, 5.0),
        (0.0, 0.0, 1e30, 5.0),
    ],
)
def test_boxes_that_bound_nothing(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="is empty|corners|not finite"):
        Box(wrong)


def test_neither_a_box_nor_a_view_copies_a_large_picture() -> None:
    """The largest size of the process before and after crops of 75 MB."""
    code = """
import resource, numpy as np
from lprnet.runtime.boxes import Box, cut
from lprnet.runtime.image_io import as_pixels
image = np.zeros((5000, 5000, 3), np.uint8)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cut(image, Box((0, 0, 50, 50)))
before = peak()
cut(image, Box((0, 0, 5000, 5000)))
as_pixels(image[1:4999, 1:4999])
print(peak() - before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, timeout=120, check=True
    )
    assert int(ran.stdout) < 20_000


ROW = {"file": "a.jpg", "x1": 1, "y1": 2, "x2": 3.5, "y2": 4}
ROWS = [
    {"file": "a,b.jpg", "x1": 1, "y1": 2, "x2": 3.5, "y2": 4},
    {"file": "a,b.jpg", "x1": 5, "y1": 6, "x2": 7, "y2": 8},
    {"file": "c.jpg", "x1": 0, "y1": 0, "x2": 9, "y2": 0, "x3": 9, "y3": 5, "x4": 0, "y4": 5},
]
FOUND = [
    ("a,b.jpg", (Box((1, 2, 3.5, 4)), Box((5, 6, 7, 8)))),
    ("c.jpg", (Box((0, 0, 9, 0, 9, 5, 0, 5)),)),
]


def test_csv_json_and_lines_say_the_same(tmp_path: Path) -> None:
    names = ["file", "score", *(f"{axis}{end}" for end in range(1, 5) for axis in "xy")]
    lines = [",".join(names)]
    for row in ROWS:
        lines.append(",".join(f'"{row[name]}"' if name in row else "" for name in names))
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=1))
    (tmp_path / "a.jsonl").write_text("\n\n".join(map(json.dumps, ROWS)))
    for name in ("a.csv", "a.json", "a.jsonl"):
        assert list(read_boxes(tmp_path / name)) == FOUND, name


def test_a_csv_may_be_longer_than_a_row(tmp_path: Path) -> None:
    lines = ["file,note,x1,y1,x2,y2", *[f'a.jpg,"{"long" * 2000}\n",1,2,3,4'] * 300]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    ((file, boxes),) = read_boxes(tmp_path / "a.csv")
    assert (file, len(boxes)) == ("a.jpg", 300)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "file,x1,y1,x2,y2\na.jpg,1,2,3\n", "row 1 has neither"),
        ("a.csv", "file,x1,y1,x2,y2\na.jpg,1,2,3,4\n,1,2,3,4\n", "row 2 has no file"),
        ("a.csv", "file,x1,y1,x2,y2\na.jpg,1,2,3,x\n", "a y2 that is no number"),
        ("a.csv", "x" * (1 << 20) + "\n", "is too long"),
        ("a.csv", "file,x1,y1,x2,y2\n" + '"\n",' * 300_000, "is too long"),
        ("a.csv", "file,x1,y1,x2,y2\na.jpg,1,2,1,4\n", "holds a box that is empty"),
        ("a.json", "{}", "no list of objects"),
        ("a.json", "[" * 100_000, "row 1"),
        ("a.json", '[["a.jpg", 1, 2, 3, 4]]', "is no object"),
        ("a.json", f"[{json.dumps(ROW)}, {{", "row 2 is no JSON"),
        ("a.jsonl", '{"file": "a", "x1": true, "y1": 1, "x2": 2, "y2": 2}', "no number"),
        ("a.jsonl", "{", "row 1"),
    ],
)
def test_wrong_files_are_one_sentence(name: str, content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}: row .*{reason}|{name}: {reason}"):
        list(read_boxes(tmp_path / name))
