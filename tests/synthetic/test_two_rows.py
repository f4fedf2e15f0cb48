"""Rendered plates with two rows."""

import numpy as np

from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.image_io import resize
from lprnet.runtime.two_rows import has_two_rows
from lprnet.synthetic.two_rows import BOXES, draw_two_rows, render_two_rows


def test_plates_are_a_function_of_their_number() -> None:
    for index in range(40):
        crop, row, text = render_two_rows(1, index, 1.5)
        again = render_two_rows(1, index, 1.5)
        np.testing.assert_array_equal(crop, again[0])
        np.testing.assert_array_equal(row, again[1])
        assert text == again[2]
        assert len(text) == 7
        assert CHINA.is_plate(text)
        assert row.shape == (24, 94, 3)
        assert has_two_rows(crop.shape[1], crop.shape[0], "auto")


def test_what_is_trained_on_is_what_a_reader_makes_of_the_crop() -> None:
    """But for JPEG and the way of resizing, which change sharp edges most."""
    differences = []
    for index in range(20):
        crop, row, _ = render_two_rows(2, index, 0.5)
        differences.append(np.abs(resize(crop, rows="2").astype(int) - row).mean())
    assert np.mean(differences) < 8
    assert max(differences) < 25


def test_characters_stand_in_their_boxes() -> None:
    """Ink is dark on yellow, and there is some in each box but hardly any between the rows."""
    plate = draw_two_rows(np.random.default_rng(5), "京AB2D4E")
    dark = plate.max(axis=2) < 100
    for left, top, wide, tall in BOXES:
        inside = dark[int(top / 2) : int((top + tall) / 2), int(left / 2) : int((left + wide) / 2)]
        assert inside.mean() > 0.1
    assert dark[39:43, 40:180].mean() < 0.05
