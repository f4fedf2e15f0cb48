"""Two rows set into one: where each character lands, shapes of any size, boxes, the command."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.runtime.boxes import Box, cut
from lprnet.runtime.image_format import ImageFormat
from lprnet.runtime.image_io import as_pixels, resize
from lprnet.runtime.two_rows import ROWS, has_two_rows, one_row
from lprnet.support.errors import UserError
from lprnet.synthetic.two_rows import BOXES

GREYS = tuple(range(30, 240, 30))


def blocks(zoom: int) -> NDArray[np.uint8]:
    """A plate with a block of its own grey in the place of each character, `zoom` pixels a mm."""
    plate = np.zeros((220 * zoom, 440 * zoom, 3), np.uint8)
    for grey, (left, top, wide, tall) in zip(GREYS, BOXES, strict=True):
        x, y = round(left * zoom), round(top * zoom)
        plate[y : y + round(tall * zoom), x : x + round(wide * zoom)] = grey
    return plate


@pytest.mark.parametrize("zoom", [1, 3])
def test_seven_characters_stand_in_one_row_in_their_order(zoom: int) -> None:
    row = one_row(blocks(zoom))
    middle = row[row.shape[0] // 2, :, 0].astype(int)
    found = [value for i, value in enumerate(middle) if value and value != middle[i - 1]]
    seen = [grey for grey in dict.fromkeys(found) if grey in GREYS]
    assert seen == list(GREYS)
    widths = np.array([(middle == grey).sum() for grey in GREYS])
    assert widths.max() <= 1.1 * widths.min(), "all seven are equally wide"
    heights = np.array([(row[:, :, 0] == grey).any(axis=1).sum() for grey in GREYS])
    assert heights.max() <= 1.15 * heights.min(), "and equally tall"


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]))
def test_any_size(height: int, width: int, channels: int) -> None:
    row = one_row(np.full((height, width, channels), 7, np.uint8))
    assert row.dtype == np.uint8
    assert row.ndim == 3
    assert row.shape[2] == channels
    assert (row == 7).all()


def test_auto_goes_by_the_shape() -> None:
    assert has_two_rows(440, 220, "auto")
    assert not has_two_rows(440, 140, "auto")
    assert not has_two_rows(440, 220, "1")
    assert has_two_rows(440, 140, "2")
    with pytest.raises(UserError, match="1, 2 or auto rows, not '3'"):
        has_two_rows(440, 140, "3")


def test_images_and_files_of_two_rows() -> None:
    plate = blocks(1)
    expected = resize(one_row(plate))
    content = cv2.imencode(".png", plate)[1].tobytes()
    for image in (plate, content):
        np.testing.assert_array_equal(as_pixels(image, rows="2"), expected)
        np.testing.assert_array_equal(as_pixels(image, rows="auto"), expected)
        np.testing.assert_array_equal(as_pixels(image, rows="1"), resize(plate))
    flat = plate[:100]
    np.testing.assert_array_equal(as_pixels(flat, rows="auto"), resize(flat))
    grey = ImageFormat(24, 94, 1)
    assert resize(plate[:, :, :1], grey, "2").shape == (24, 94, 1)
    assert set(ROWS) == {"1", "2", "auto"}


def test_boxes_of_two_rows() -> None:
    """Cut from a larger picture, upright and by four corners, they are the plate alone."""
    plate = blocks(1)
    picture = np.full((400, 600, 3), 90, np.uint8)
    picture[100:320, 80:520] = plate
    upright = Box((80, 100, 520, 320))
    for rows in ("2", "auto"):
        np.testing.assert_array_equal(cut(picture, upright, rows=rows), resize(one_row(plate)))
        corners = cut(picture, Box((80, 100, 520, 100, 520, 320, 80, 320)), rows=rows)
        difference = np.abs(corners.astype(int) - resize(one_row(plate)))
        assert np.median(difference) <= 2
    wide = Box((80, 100, 520, 240))
    np.testing.assert_array_equal(cut(picture, wide, rows="auto"), cut(picture, wide))
