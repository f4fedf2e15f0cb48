"""A contact sheet of rendered plates, so that a person can judge what the network is taught on."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.support.atomic_file import atomic_write
from lprnet.synthetic.render import render

COLUMNS, ZOOM, GAP = 8, 2, 6
DIFFICULTIES = (0.0, 0.5, 1.0, 1.0, 1.0, 2.0)
"""One row each; 1 is what validation and the sample plates have."""


def contact_sheet(seed: int) -> NDArray[np.uint8]:
    """Plates of `seed` as one `(H, W, 3)` uint8 BGR picture, a row per difficulty."""
    rows = []
    for number, difficulty in enumerate(DIFFICULTIES):
        row = [render(seed, number * COLUMNS + column, difficulty)[0] for column in range(COLUMNS)]
        rows.append(np.hstack([_framed(plate) for plate in row]))
    return np.vstack(rows)


def _framed(plate: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = np.repeat(np.repeat(plate, ZOOM, axis=0), ZOOM, axis=1)
    return np.pad(large, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)


def write_contact_sheet(path: Path, seed: int) -> None:
    """Write `contact_sheet(seed)` to `path` as PNG. Raises `UserError` where that is impossible."""
    _, data = cv2.imencode(".png", contact_sheet(seed), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    with atomic_write(path) as partial:
        partial.write_bytes(data.tobytes())
