"""Rendered licence plates of mainland China, each one a function of (seed, index) alone.

Sizes are those of the standard GA 36: a 440x140 mm plate (480x140 for new-energy cars), characters
of 45x90 mm, a gap of 34 mm with a dot behind the second. Here a plate is drawn flat and clean;
`lprnet/synthetic/augment.py` then photographs it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES
from lprnet.synthetic.augment import photograph
from lprnet.synthetic.lettering import lettering

PIXELS_PER_MM = 0.5
HEIGHT_MM = 140

SAMPLE_SEED = 2_000_003
"""Never a training seed; the plates that stand in where the user has no images."""


@dataclass(frozen=True)
class Kind:
    """A plate type: outer width and character boxes in mm, colours as BGR."""

    width: int
    lefts: tuple[float, ...]
    widths: tuple[float, ...]
    dot: float
    """Centre of the separator; new-energy plates have none of contrast (0)."""
    ground: tuple[int, int, int]
    ink: tuple[int, int, int]
    share: float
    """Of all rendered plates; dark ink on light is rarer on the road, but harder to learn."""


_SEVEN_LEFTS = (15.5, 72.5, 151.5, 208.5, 265.5, 322.5, 379.5)
_EIGHT_LEFTS = (15.5, 69.5, 161.5, 213.5, 265.5, 317.5, 369.5, 421.5)

BLUE = Kind(440, _SEVEN_LEFTS, (45,) * 7, 134.5, (178, 80, 20), (250, 250, 250), 0.74)
GREEN = Kind(480, _EIGHT_LEFTS, (45, *(43,) * 7), 0, (120, 190, 90), (25, 25, 20), 0.18)
YELLOW = Kind(440, _SEVEN_LEFTS, (45,) * 7, 134.5, (25, 165, 235), (20, 20, 20), 0.08)
KINDS = (BLUE, GREEN, YELLOW)


def serial(rng: np.random.Generator, kind: Kind) -> str:
    """A serial the grammar allows: province, city letter, then five (new energy: six) characters.

    Provinces and city letters are uniform. Half of the ordinary serials draw all five characters
    evenly, half like the registry: digits with at most two letters. New energy: a class letter, a
    digit or letter, four digits (cars), or five digits and the class letter (lorries).
    """
    head = PROVINCES[rng.integers(len(PROVINCES))] + LETTERS[rng.integers(len(LETTERS))]
    digits = [DIGITS[i] for i in rng.integers(10, size=5)]
    if kind is GREEN:
        energy = "DDDDDFFFABCEGHJK"[rng.integers(16)]
        if rng.random() < 0.2:
            return head + "".join(digits) + energy
        if rng.random() < 0.3:
            digits[0] = LETTERS[rng.integers(len(LETTERS))]
        return head + energy + "".join(digits)
    if rng.random() < 0.5:
        return head + "".join([(*DIGITS, *LETTERS)[i] for i in rng.integers(34, size=5)])
    for position in rng.integers(5, size=rng.integers(3)):
        digits[position] = LETTERS[rng.integers(len(LETTERS))]
    return head + "".join(digits)


def _ink(rng: np.random.Generator, kind: Kind, text: str) -> NDArray[np.float32]:
    """Coverage 0..1 of the characters and the dot on the flat plate."""
    scale = PIXELS_PER_MM
    height, width = round(HEIGHT_MM * scale), round(kind.width * scale)
    mask = np.zeros((height, width), np.uint8)
    letters = lettering(rng, text)
    tall = rng.uniform(86, 96)
    top = (HEIGHT_MM - tall) / 2 + rng.normal(0, 1.5)
    narrower = rng.uniform(-2, 4, len(text) if letters.mixed else 1)
    for cell, margin, left, wide in zip(
        letters.cells, np.broadcast_to(narrower, len(text)), kind.lefts, kind.widths, strict=True
    ):
        size = (round((wide - margin) * scale), round(tall * scale))
        x, y = round((left + margin / 2) * scale), round(top * scale)
        mask[y : y + size[1], x : x + size[0]] = cv2.resize(
            cell, size, interpolation=cv2.INTER_AREA
        )
    if kind.dot:
        centre = (round(kind.dot * scale), round(HEIGHT_MM / 2 * scale))
        cv2.circle(mask, centre, round(rng.uniform(4, 6.5) * scale), 255, -1, cv2.LINE_AA)
    return thickened(rng, mask)


def thickened(rng: np.random.Generator, mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Coverage 0..1 of characters 0..255, every stroke thinner or bolder."""
    # By thresholding a blurred glyph off its middle.
    soft = cv2.GaussianBlur(mask, (0, 0), 1.1).astype(np.float32) / 255
    return np.asarray(np.clip((soft - rng.uniform(0.3, 0.62)) * 4 + 0.5, 0, 1), np.float32)


def _ground(rng: np.random.Generator, kind: Kind, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The plate's paint: jittered in hue, on new-energy plates white on top, green below."""
    colour = np.array(kind.ground, np.float32) * rng.uniform(0.75, 1.2)
    colour = colour + rng.normal(0, 12, 3).astype(np.float32)
    paint: NDArray[np.float32] = np.broadcast_to(colour, (*shape, 3)).copy()
    if kind is GREEN:
        ramp = np.linspace(0, 1, shape[0], dtype=np.float32) ** rng.uniform(0.4, 1.5)
        white = np.float32(rng.uniform(210, 250))
        paint = white + ramp[:, None, None] * (paint - white)
    return paint


def draw(rng: np.random.Generator, kind: Kind, text: str) -> NDArray[np.uint8]:
    """The flat, clean plate: `(70, 220 or 240, 3)` uint8 BGR with rim, bolts and maybe a frame."""
    return painted(rng, kind, _ink(rng, kind, text))


def painted(rng: np.random.Generator, kind: Kind, ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A plate in the colours of `kind`, of the shape of `ink`, which is the coverage 0..1."""
    height, width = ink.shape
    paint = _ground(rng, kind, (height, width))
    colour = np.array(kind.ink, np.float32) + rng.normal(0, 8, 3).astype(np.float32)
    colour *= rng.uniform(0.85, 1.0)
    rim = np.zeros((height, width), np.uint8)
    inset, thick = round(rng.uniform(1, 5) * PIXELS_PER_MM), int(rng.integers(1, 4))
    cv2.rectangle(rim, (inset, inset), (width - 1 - inset, height - 1 - inset), 255, thick)
    ink = np.maximum(ink, rim.astype(np.float32) / 255 * rng.uniform(0.2, 1))
    blend = paint + ink[:, :, None] * (colour - paint)
    plate = np.clip(blend, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        _bolts(rng, plate)
    if rng.random() < 0.35:
        grey = (int(rng.integers(20, 230)),) * 3
        cv2.rectangle(plate, (0, 0), (width - 1, height - 1), grey, int(rng.integers(2, 7)))
    return plate


def _bolts(rng: np.random.Generator, plate: NDArray[np.uint8]) -> None:
    height, width = plate.shape[:2]
    x, y = rng.uniform(0.2, 0.3), rng.uniform(0.07, 0.13)
    grey = int(rng.integers(40, 230))
    for across in (x, 1 - x):
        for down in (y, 1 - y):
            centre = (round(across * width), round(down * height))
            cv2.circle(plate, centre, int(rng.integers(1, 4)), (grey,) * 3, -1, cv2.LINE_AA)


def render(
    seed: int, index: int, difficulty: float = 1.0, kind: Kind | None = None
) -> tuple[NDArray[np.uint8], str]:
    """Plate number `index` of `seed`: a `(24, 94, 3)` uint8 BGR image and its text.

    The same arguments give the same bytes. `difficulty` scales what the camera does to the plate
    (`lprnet/synthetic/augment.py`): 0 is a flat scan, 1 a car park's camera, 2 a street photograph.
    `kind` None: one of `KINDS`, as often as its `share` says.
    """
    rng = np.random.default_rng((seed, index))
    drawn = KINDS[rng.choice(len(KINDS), p=[one.share for one in KINDS])]
    kind = kind or drawn
    text = serial(rng, kind)
    return photograph(rng, draw(rng, kind, text), difficulty), text


def sample_plates(count: int) -> list[tuple[NDArray[np.uint8], str]]:
    """The first `count` plates of the sample set: images `(24, 94, 3)` uint8 BGR with texts."""
    return [render(SAMPLE_SEED, index) for index in range(count)]
