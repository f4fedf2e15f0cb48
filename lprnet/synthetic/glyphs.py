"""The glyphs of rendered plates: a sprite of grey cells, so that no font has to be installed.

`assets/glyphs.png` holds one row of 32x64 cells per font (drawn by `assets/draw_glyphs.py` from
free fonts, licences in `assets/LICENSES.md`): first the fonts of digits and letters, then those of
the provinces. Every glyph fills its cell, as GA 36 characters fill their 45x90 mm.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES

CELL_WIDTH, CELL_HEIGHT = 32, 64
SERIAL_FONTS, PROVINCE_FONTS = 9, 5
"""Coprime, so that one number chooses both evenly."""

_SPRITE = Path(__file__).with_name("assets") / "glyphs.png"


@cache
def _sprite() -> NDArray[np.uint8]:
    sprite = cv2.imdecode(np.frombuffer(_SPRITE.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(sprite, np.uint8)


def has_glyph(character: str) -> bool:
    """Whether there is one: digits, the letters of serials, provinces."""
    return character in (*DIGITS, *LETTERS, *PROVINCES)


def glyph(character: str, font: int) -> NDArray[np.uint8]:
    """The 64x32 cell of `character` in font number `font` of its kind, ink 255 on 0."""
    if character in PROVINCES:
        row, column = SERIAL_FONTS + font % PROVINCE_FONTS, PROVINCES.index(character)
    else:
        row, column = font % SERIAL_FONTS, (*DIGITS, *LETTERS).index(character)
    top, left = row * CELL_HEIGHT, column * CELL_WIDTH
    return _sprite()[top : top + CELL_HEIGHT, left : left + CELL_WIDTH]
