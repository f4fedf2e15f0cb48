"""Rendered plates with two rows: the rear of trucks and buses, yellow, 440x220 mm (GA 36-2018).

Like `render.py`, each is a function of (seed, index) alone.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.synthetic.augment import photograph_two_rows
from lprnet.synthetic.lettering import lettering
from lprnet.synthetic.render import PIXELS_PER_MM, YELLOW, painted, serial, thickened

HEIGHT_MM = 220
UPPER = tuple((left, 15.0, 80.0, 60.0) for left in (110.0, 250.0))
LOWER = tuple((27.5 + 80.0 * place, 90.0, 65.0, 110.0) for place in range(5))
BOXES = UPPER + LOWER
"""Left, top, width and height of each character in mm."""
DOT = (220.0, 45.0)
"""Centre of the separator between the upper two."""


def draw_two_rows(rng: np.random.Generator, text: str) -> NDArray[np.uint8]:
    """The flat, clean plate of seven characters: `(110, 220, 3)` uint8 BGR."""
    scale = PIXELS_PER_MM
    mask = np.zeros((round(HEIGHT_MM * scale), round(YELLOW.width * scale)), np.uint8)
    shift = rng.normal(0, 1.5)
    cells = lettering(rng, text).cells
    for cell, (left, top, wide, tall) in zip(cells, BOXES, strict=True):
        size = round(wide * scale), round(tall * scale)
        x, y = round(left * scale), round((top + shift) * scale)
        mask[y : y + size[1], x : x + size[0]] = cv2.resize(
            cell, size, interpolation=cv2.INTER_AREA
        )
    centre = (round(DOT[0] * scale), round(DOT[1] * scale))
    cv2.circle(mask, centre, round(rng.uniform(4, 6.5) * scale), 255, -1, cv2.LINE_AA)
    return painted(rng, YELLOW, thickened(rng, mask))


def render_two_rows(
    seed: int, index: int, difficulty: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Plate number `index` of `seed`: the crop of a detector, `(h, w, 3)` uint8 BGR of any size;
    its rows beside each other as the network reads them, `(24, 94, 3)`; and its text.
    """
    rng = np.random.default_rng((seed, index))
    text = serial(rng, YELLOW)
    return *photograph_two_rows(rng, draw_two_rows(rng, text), difficulty), text
