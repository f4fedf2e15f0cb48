"""Digits and letters drawn as strokes of one width, as plates of the standard GA 36 show them.

No free font has all of their forms: the middle of an M ends half-way down, the fork of a Y lies in
the upper half, a J has no bar. What the standard leaves to the eye here, and what plate makers
differ in, varies from one variant to the next. Lengths are mm in the standard's box of 45x90 mm,
from its upper left corner; strokes that end outside of it end at its edge.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.synthetic.glyphs import CELL_HEIGHT, CELL_WIDTH

VARIANTS = 16
WIDTH, HEIGHT = 45.0, 90.0

Line = list[tuple[float, float]]
"""The centre line of a stroke."""

_MIDDLE, _DRAWN_PER_MM = WIDTH / 2, 12


class _Box:
    """Where strokes run in one variant, and the curves that characters share. Angles are in
    degrees, from the right downwards.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.stroke = rng.uniform(8, 11)
        self.left, self.top = self.stroke / 2, self.stroke / 2
        self.right, self.bottom = WIDTH - self.left, HEIGHT - self.top
        self.rounding = rng.uniform(14, 24)
        """The height of the round ends of 0, C, U and others."""
        self.waist = rng.uniform(41, 46)
        """Where 3, 8, B and S are drawn in; the middle bar of E, F and H."""

    def ellipse(self, centre: float, high: float, first: float, last: float) -> Line:
        """Part of one as wide as the box."""
        return _arc((_MIDDLE, centre), (_MIDDLE - self.left, high), first, last)

    def over(self, first: float, last: float) -> Line:
        """The round end at the top."""
        return self.ellipse(self.top + self.rounding, self.rounding, first, last)

    def under(self, first: float, last: float) -> Line:
        """The round end at the bottom."""
        return self.ellipse(self.bottom - self.rounding, self.rounding, first, last)

    def upper(self, first: float, last: float) -> Line:
        """The ring above the waist."""
        return self.between(self.top, self.waist, first, last)

    def lower(self, first: float, last: float) -> Line:
        """The ring below the waist."""
        return self.between(self.waist, self.bottom, first, last)

    def between(self, top: float, bottom: float, first: float, last: float) -> Line:
        """A ring between two heights."""
        return self.ellipse((top + bottom) / 2, (bottom - top) / 2, first, last)

    def bowl(self, top: float, bottom: float) -> Line:
        """From a stem to the right edge and back: B, D, P, R."""
        start, high = _MIDDLE - 2, (bottom - top) / 2
        curve = _arc((start, top + high), (self.right - start, high), -90, 90)
        return [(self.left, top), *curve, (self.left, bottom)]


def _arc(
    centre: tuple[float, float], radii: tuple[float, float], first: float, last: float
) -> Line:
    angles = np.deg2rad(np.linspace(first, last, 24))
    x, y = centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _bent(first: tuple[float, float], by: tuple[float, float], last: tuple[float, float]) -> Line:
    """A quadratic Bezier curve."""
    t = np.linspace(0, 1, 16)
    x, y = (
        (1 - t) ** 2 * first[axis] + 2 * t * (1 - t) * by[axis] + t**2 * last[axis]
        for axis in (0, 1)
    )
    return list(zip(x.tolist(), y.tolist(), strict=True))


@cache
def _variant(number: int) -> tuple[float, dict[str, list[Line]]]:
    """The width of the strokes of a variant, and the strokes of each digit and letter."""
    rng = np.random.default_rng((36, number))
    box = _Box(rng)
    left, right, top, bottom, waist = box.left, box.right, box.top, box.bottom, box.waist
    fork, vertex, peak = rng.uniform(34, 46), rng.uniform(36, 50), rng.uniform(-2, 28)
    bar = rng.uniform(60, 70)
    flag = rng.uniform(8, 20) if rng.random() < 0.6 else 0.0
    ring = rng.uniform(34, 42)
    low = 95.0  # beyond the edge, as -5 above: such ends are cut off straight
    stem: Line = [(left, -5), (left, low)]
    other_stem: Line = [(right, -5), (right, low)]
    zero = [*box.over(-180, 0), *box.under(0, 180), (left, top + box.rounding)]
    six = [
        box.between(ring, bottom, -180, 180),
        _bent((_MIDDLE + 11, -4), (left + 1, 22), (left, HEIGHT - 30)),
    ]
    return box.stroke, {
        "0": [zero],
        "1": [[(_MIDDLE, -5), (_MIDDLE, low)], [(_MIDDLE, top), (_MIDDLE - flag / 2, top + flag)]],
        "2": [[*box.over(-170, 20), (left + 1, bottom), (WIDTH, bottom)]],
        "3": [[*box.upper(-135, 90), *box.lower(-90, 135)]],
        "4": [[(_MIDDLE + 5, -5), (3, bar), (WIDTH, bar)], [(right - 7, 38), (right - 7, low)]],
        "5": [[(right, top), (left + 3, top), (left + 1, waist - 4), *box.lower(-130, 155)]],
        "6": six,
        "7": [[(0, top), (right, top), (_MIDDLE - 6, low)]],
        "8": [box.upper(-180, 180), box.lower(-180, 180)],
        "9": [[(WIDTH - x, HEIGHT - y) for x, y in line] for line in six],
        "A": [
            [(left - 2, low), (_MIDDLE, 1), (right + 2, low)],
            [(left + 5, bar), (right - 5, bar)],
        ],
        "B": [stem, box.bowl(top, waist), box.bowl(waist, bottom)],
        "C": [[*box.over(-15, -180), *box.under(180, 15)]],
        "D": [stem, box.bowl(top, bottom)],
        "E": [stem, *([(left, y), (WIDTH - 2, y)] for y in (top, waist, bottom))],
        "F": [stem, *([(left, y), (WIDTH - 2, y)] for y in (top, waist))],
        "G": [[*box.over(-20, -180), *box.under(180, 0), (right, waist + 5), (_MIDDLE, waist + 5)]],
        "H": [stem, other_stem, [(left, waist), (right, waist)]],
        "J": [[(right, -5), *box.under(0, 165)]],
        "K": [stem, [(right + 1, -4), (left + 3, 53)], [(left + 11, waist), (right + 2, low)]],
        "L": [stem, [(left, bottom), (WIDTH, bottom)]],
        "M": [stem, other_stem, [(left - 1, 1), (_MIDDLE, vertex), (right + 1, 1)]],
        "N": [stem, other_stem, [(left, 1), (right, HEIGHT - 1)]],
        "P": [stem, box.bowl(top, waist + 5)],
        "Q": [zero, [(_MIDDLE, bar - 4), (right + 2, 92)]],
        "R": [stem, box.bowl(top, waist + 3), [(_MIDDLE, waist + 3), (right + 1, low)]],
        "S": [[*box.upper(-20, -270), *box.lower(-90, 160)]],
        "T": [[(0, top), (WIDTH, top)], [(_MIDDLE, top), (_MIDDLE, low)]],
        "U": [[(right, -5), *box.under(0, 180), (left, -5)]],
        "V": [[(left - 2, -5), (_MIDDLE, 87), (right + 2, -5)]],
        "W": [
            [
                (left - 1, -5),
                (_MIDDLE - 11, 86),
                (_MIDDLE, peak),
                (_MIDDLE + 11, 86),
                (right + 1, -5),
            ]
        ],
        "X": [[(left, -4), (right, 94)], [(right, -4), (left, 94)]],
        "Y": [
            [(left - 1, -5), (_MIDDLE, fork), (right + 1, -5)],
            [(_MIDDLE, fork), (_MIDDLE, low)],
        ],
        "Z": [[(2, top), (right, top), (left, bottom), (WIDTH, bottom)]],
    }


@cache
def stroke_glyph(character: str, variant: int) -> NDArray[np.uint8]:
    """The 64x32 cell of a digit or letter, ink 255 on 0."""
    stroke, lines = _variant(variant % VARIANTS)
    drawn = np.zeros((round(HEIGHT * _DRAWN_PER_MM), round(WIDTH * _DRAWN_PER_MM)), np.uint8)
    for line in lines[character]:
        points = np.round(np.array(line) * _DRAWN_PER_MM).astype(np.int32)
        cv2.polylines(drawn, [points], False, 255, round(stroke * _DRAWN_PER_MM))
    cell = cv2.resize(drawn, (CELL_WIDTH, CELL_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cell, np.uint8)
