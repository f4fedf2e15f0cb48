"""Plates with two rows, as the rear of trucks and buses has them, cut and set into one.

LPRNet reads one row. So the upper row, the province and the letter, is cut out and set to the left
of the lower one, as GA 36-2018 lays out the rear plate: 440x220 mm, above two characters of 80x60
mm in the middle, below five of 65x110 mm. Made as tall and as wide as those below, the seven stand
as evenly as on a plate of one row.
"""

import cv2
import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.support.errors import UserError

ROWS = ("1", "2", "auto")
"""How many rows a plate has; `auto`: two if it is narrower than `NARROW` times its height."""
NARROW = 2.2
"""A plate of two rows has 2.0 times its height, one of a single row at least 3.1."""
UPPER_ROW = 0.375
"""Its share of the height."""
UPPER_LEFT, UPPER_RIGHT = 0.2, 0.8
"""Where its characters lie, as shares of the width, with room for a careless crop."""
UPPER_WIDTH = (UPPER_RIGHT - UPPER_LEFT) * 65 / 80
"""What it is wide beside the lower row, as a share of that."""


def has_two_rows(width: float, height: float, rows: str) -> bool:
    """Whether a plate of this size, in any unit, has two rows, as `rows` says.

    Raises `UserError` where that is none of `ROWS`.
    """
    if rows not in ROWS:
        raise UserError(f"a plate has {', '.join(ROWS[:-1])} or {ROWS[-1]} rows, not {rows!r}")
    return rows == "2" or (rows == "auto" and width < NARROW * height)


def one_row(plate: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A plate of two rows, `(H, W, 3)` uint8, as one of a single row: `(0.625 H, 1.49 W, 3)`."""
    height, width = plate.shape[:2]
    split = round(UPPER_ROW * height)
    lower = plate[min(split, height - 1) :]
    left, right = round(UPPER_LEFT * width), round(UPPER_RIGHT * width)
    upper = plate[: max(split, 1), left : max(right, left + 1)]
    size = max(1, round(UPPER_WIDTH * width)), lower.shape[0]
    wide = cv2.resize(upper, size).reshape(lower.shape[0], size[0], plate.shape[2])
    return np.hstack([wide, lower]).astype(np.uint8, copy=False)
