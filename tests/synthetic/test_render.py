"""Rendered plates: deterministic, of the standard's grammar and layout, harder when asked."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES
from lprnet.support.errors import UserError
from lprnet.synthetic.contact_sheet import contact_sheet, write_contact_sheet
from lprnet.synthetic.glyphs import PROVINCE_FONTS, SERIAL_FONTS, glyph
from lprnet.synthetic.render import (
    BLUE,
    GREEN,
    KINDS,
    PIXELS_PER_MM,
    YELLOW,
    Kind,
    draw,
    render,
    sample_plates,
    serial,
)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**63), index=st.integers(0, 2**63), difficulty=st.floats(0, 4, width=32)
)
def test_a_plate_is_a_function_of_seed_and_index(seed: int, index: int, difficulty: float) -> None:
    image, text = render(seed, index, difficulty)
    again, same = render(seed, index, difficulty)
    assert image.shape == (24, 94, 3)
    assert image.dtype == np.uint8
    assert CHINA.is_plate(text)
    assert text == same
    np.testing.assert_array_equal(image, again)


def test_seeds_and_indices_give_different_plates() -> None:
    plates = [render(seed, index) for seed in range(5) for index in range(20)]
    assert len({image.tobytes() for image, _ in plates}) == 100
    assert len({text for _, text in plates}) == 100
    assert sample_plates(3)[2][1] == sample_plates(5)[2][1]


@pytest.mark.parametrize("kind", KINDS)
def test_serials_cover_the_grammar_evenly(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    texts = [serial(rng, kind) for _ in range(6200)]
    assert all(CHINA.is_plate(text) for text in texts)
    assert {len(text) for text in texts} == {8 if kind is GREEN else 7}
    provinces = Counter(text[0] for text in texts)
    # 200 each on average; five standard deviations are 70.
    assert set(provinces) == set(PROVINCES)
    assert min(provinces.values()) > 130
    assert max(provinces.values()) < 270
    assert {text[1] for text in texts} == set(LETTERS)
    assert {character for text in texts for character in text[2:]} == {*DIGITS, *LETTERS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_character_stays_in_its_box(kind: Kind) -> None:
    """Changing the third character changes pixels there and nowhere else."""
    texts = ["皖A8B999F"[: len(kind.lefts)], "皖AHB999F"[: len(kind.lefts)]]
    one, other = (draw(np.random.default_rng(3), kind, text) for text in texts)
    columns = np.flatnonzero(np.abs(one.astype(int) - other).sum(axis=(0, 2)))
    left, right = kind.lefts[2], kind.lefts[2] + kind.widths[2]
    assert len(columns) > 10
    assert columns.min() >= left * PIXELS_PER_MM - 4
    assert columns.max() <= right * PIXELS_PER_MM + 4


def test_colours_are_those_of_the_kind() -> None:
    def paint(kind: Kind) -> list[float]:
        text = "京A11111D"[: len(kind.lefts)]
        plates = np.stack([draw(np.random.default_rng(i), kind, text) for i in range(8)])
        return [float(np.median(plates[..., channel])) for channel in range(3)]

    blue, yellow, green = paint(BLUE), paint(YELLOW), paint(GREEN)
    assert max(blue) == blue[0]
    assert max(green) == green[1]
    assert min(yellow) == yellow[0]
    new_energy = draw(np.random.default_rng(1), GREEN, "京AD12345").astype(int)
    assert new_energy[8:12, 40:-40].mean() > new_energy[-12:-8, 40:-40].mean() + 10


def test_every_glyph_is_there_and_its_own() -> None:
    serials = [glyph(c, font) for font in range(SERIAL_FONTS) for c in (*DIGITS, *LETTERS)]
    provinces = [glyph(c, font) for font in range(PROVINCE_FONTS) for c in PROVINCES]
    cells = serials + provinces
    assert all(cell.shape == (64, 32) and cell.max() > 250 for cell in cells)
    assert len({cell.tobytes() for cell in cells}) == len(cells)
    # A cell is filled from edge to edge, but for the narrow 1.
    assert all(cell[[0, -1]].any(axis=1).all() for cell in cells)


def test_difficulty_takes_detail_away() -> None:
    def sharpness(difficulty: float) -> float:
        images = [render(11, index, difficulty)[0] for index in range(60)]
        return float(np.median([cv2.Laplacian(image, cv2.CV_32F).std() for image in images]))

    levels = [sharpness(difficulty) for difficulty in (0.0, 1.0, 2.0)]
    assert levels == sorted(levels, reverse=True)
    assert levels[2] < 0.7 * levels[0]


def test_contact_sheet(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, 3)
    written = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(written, contact_sheet(3))
    with pytest.raises(UserError, match="cannot be written"):
        write_contact_sheet(path / "sheet.png", 3)
