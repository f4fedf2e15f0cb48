"""What was read wrong, for a person: a contact sheet, or a list for programs."""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.measure.accuracy import ReadImage
from lprnet.runtime.image_io import decode_picture, resize
from lprnet.support.atomic_file import atomic_write
from lprnet.support.file_names import escaped_bytes
from lprnet.synthetic.glyphs import glyph, has_glyph

Image = NDArray[np.uint8]

COLUMNS, ZOOM, GAP = 5, 2, 8
CHARACTER = (12, 22)
"""Width and height in pixels."""
LABEL, WRONG = (0, 0, 0), (0, 94, 213)
"""Black and vermilion, BGR."""
HEADER = ("file", "label", "text", "confidence")


def write_misread(read: Sequence[ReadImage], path: Path) -> None:
    """Write those of `read` that are wrong to `path`: as PNG by that ending, else as CSV.

    The sheet has of each the image, under it the label, under that what was read, characters that
    differ from the label's in red. Raises `UserError` where the file cannot be written.
    """
    wrong = [one for one in read if not one.right]
    with atomic_write(path) as partial:
        if path.suffix.lower() == ".png":
            _, data = cv2.imencode(".png", contact_sheet(wrong))
            partial.write_bytes(data.tobytes())
            return
        with partial.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(HEADER)
            for one in wrong:
                sure = f"{one.plate.confidence:.6f}"
                table.writerow((escaped_bytes(str(one.path)), one.label, one.plate.text, sure))


def contact_sheet(wrong: Sequence[ReadImage]) -> Image:
    """`(H, W, 3)` uint8 BGR, a cell an image; one empty cell where there is none."""
    cells = [_cell(one) for one in wrong]
    empty = np.full(_cell_shape(), 255, np.uint8)
    cells += [empty] * (-len(cells) % COLUMNS if cells else COLUMNS)
    rows = [np.hstack(cells[first : first + COLUMNS]) for first in range(0, len(cells), COLUMNS)]
    return np.vstack(rows)


def _cell_shape() -> tuple[int, int, int]:
    height = ZOOM * 24 + 2 * CHARACTER[1] + 2 * GAP
    return height, ZOOM * 94 + 2 * GAP, 3


def _cell(one: ReadImage) -> Image:
    cell = np.full(_cell_shape(), 255, np.uint8)
    picture = decode_picture(one.path.read_bytes(), str(one.path))
    small = resize(picture)
    large = small.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    bottom = GAP + large.shape[0]
    cell[GAP:bottom, GAP : GAP + large.shape[1]] = large
    _write(cell, one.label, bottom, [LABEL] * len(one.label))
    text = one.plate.text
    differs = [place >= len(one.label) or one.label[place] != c for place, c in enumerate(text)]
    colours = [WRONG if different else LABEL for different in differs]
    _write(cell, text, bottom + CHARACTER[1], colours)
    return cell


def _write(cell: Image, text: str, top: int, colours: Sequence[tuple[int, int, int]]) -> None:
    """`text` as glyphs from the left; what has no glyph is a box, what has no room is left out."""
    width, height = CHARACTER
    for place, (character, colour) in enumerate(zip(text, colours, strict=True)):
        left = GAP + place * (width + 3)
        if left + width > cell.shape[1]:
            return
        if has_glyph(character):
            ink = cv2.resize(glyph(character, 0), (width, height - 4), interpolation=cv2.INTER_AREA)
        else:
            ink = np.zeros((height - 4, width), np.uint8)
            cv2.rectangle(ink, (0, 0), (width - 1, height - 5), 255, 1)
        share = (ink / 255)[:, :, None]
        room = cell[top + 2 : top + height - 2, left : left + width]
        room[:] = (room * (1 - share) + np.array(colour) * share).astype(np.uint8)
