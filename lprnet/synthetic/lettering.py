"""In which letters a plate is written."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.plate_grammar import PROVINCES
from lprnet.synthetic.glyphs import PROVINCE_FONTS, SERIAL_FONTS, glyph
from lprnet.synthetic.strokes import VARIANTS, stroke_glyph

STROKES = 0.75
"""The share of plates whose serial is drawn in the forms of the standard, as on real plates. The
others, in free fonts, keep the network from leaning on exact outlines."""
MIXED = 1 / 3
"""The share of plates of which each character has a font or variant of its own."""


@dataclass(frozen=True)
class Lettering:
    """The cells of a plate's characters, `(64, 32)` uint8 each, ink 255 on 0."""

    cells: list[NDArray[np.uint8]]
    mixed: bool


def lettering(rng: np.random.Generator, text: str) -> Lettering:
    """`text` in strokes or a font; its province is in a font always."""
    numbers = rng.integers(SERIAL_FONTS * PROVINCE_FONTS * VARIANTS, size=len(text))
    mixed, strokes = rng.random() < MIXED, rng.random() < STROKES
    if not mixed:
        numbers[:] = numbers[0]
    cells = [
        stroke_glyph(character, int(number))
        if strokes and character not in PROVINCES
        else glyph(character, int(number))
        for character, number in zip(text, numbers, strict=True)
    ]
    return Lettering(cells, mixed)
