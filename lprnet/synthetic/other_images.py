"""What a reader of plates must not take for one: blank images, noise, streets, other texts.

Each is a function of (seed, index) alone, `(24, 94, 3)` uint8 BGR.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES
from lprnet.synthetic.augment import photograph
from lprnet.synthetic.render import BLUE, YELLOW, Kind, draw, serial

Image = NDArray[np.uint8]
SIZE = (LPRNET_CHINA.width, LPRNET_CHINA.height)
SCENE = (320, 180)
"""Width and height of a street before it is squeezed into a plate's shape."""


def other_image(seed: int, index: int) -> Image:
    """Image number `index` of `seed` without a plate that could be read: a blank one, noise or a
    whole street, in turn.
    """
    rng = np.random.default_rng((seed, index))
    return (_blank, _noise, _street)[index % 3](rng)


def other_text(seed: int, index: int, difficulty: float) -> tuple[Image, str]:
    """A plate with a text that no plate of mainland China has, and the text: 4 to 6 characters, or
    8 without a province.
    """
    rng = np.random.default_rng((seed, index))
    count = int(rng.choice([4, 5, 6, 8]))
    characters = [(*DIGITS, *LETTERS)[i] for i in rng.integers(34, size=count)]
    if count < 8 and rng.random() < 0.5:
        characters[:2] = PROVINCES[rng.integers(31)], LETTERS[rng.integers(24)]
    like = (BLUE, YELLOW)[rng.integers(2)]
    pitch = (like.width - 31) / count
    wide = min(45.0, pitch - 8)
    lefts = tuple(15.5 + pitch * place + (pitch - wide) / 2 for place in range(count))
    kind = Kind(like.width, lefts, (wide,) * count, 0, like.ground, like.ink, 0)
    text = "".join(characters)
    return photograph(rng, draw(rng, kind, text), difficulty), text


def _blank(rng: np.random.Generator) -> Image:
    """One colour, or a smooth change between a few."""
    shape = (int(rng.integers(1, 3)), int(rng.integers(1, 4)), 3)
    colours = rng.integers(0, 256, shape).astype(np.uint8)
    seen = cv2.resize(colours, SIZE).astype(np.float32)
    return _clipped(seen + rng.normal(0, rng.uniform(0, 4), seen.shape))


def _noise(rng: np.random.Generator) -> Image:
    """Noise of any grain, grey or coloured."""
    grain = int(rng.integers(1, 9))
    channels = int(rng.choice([1, 3]))
    shape = (max(1, SIZE[1] // grain), max(1, SIZE[0] // grain), channels)
    spots = rng.normal(rng.uniform(60, 190), rng.uniform(10, 80), shape)
    coloured = np.broadcast_to(spots, (*shape[:2], 3)).astype(np.float32)
    method = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_NEAREST
    return _clipped(cv2.resize(coloured, SIZE, interpolation=method))


def _street(rng: np.random.Generator) -> Image:
    """Sky, houses with windows, a road, cars; a car has a plate some pixels wide."""
    width, height = SCENE
    scene = np.empty((height, width, 3), np.uint8)
    horizon = int(rng.integers(60, 120))
    scene[:horizon] = rng.integers(120, 256, 3)
    scene[horizon:] = (int(rng.integers(50, 130)),) * 3
    left = 0
    while left < width:
        wide, top = int(rng.integers(25, 90)), int(rng.integers(5, horizon - 20))
        cv2.rectangle(scene, (left, top), (left + wide, horizon), _colour(rng), -1)
        window = _colour(rng)
        for y in range(top + 4, horizon - 8, 14):
            for x in range(left + 4, left + wide - 6, 12):
                cv2.rectangle(scene, (x, y), (x + 6, y + 8), window, -1)
        left += wide + int(rng.integers(0, 12))
    for _ in range(int(rng.integers(1, 5))):
        _car(rng, scene, horizon)
    noisy = scene + rng.normal(0, rng.uniform(1, 8), scene.shape)
    return np.asarray(cv2.resize(_clipped(noisy), SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def _car(rng: np.random.Generator, scene: Image, horizon: int) -> None:
    wide = int(rng.integers(40, 110))
    x = int(rng.integers(0, SCENE[0] - wide))
    y = int(rng.integers(horizon - 10, SCENE[1] - wide // 2))
    body, tall = _colour(rng), wide // 2
    cv2.rectangle(scene, (x, y + tall // 3), (x + wide, y + tall), body, -1)
    cv2.rectangle(scene, (x + wide // 6, y), (x + wide * 5 // 6, y + tall // 3), (60, 50, 40), -1)
    for wheel in (x + wide // 6, x + wide * 5 // 6):
        cv2.circle(scene, (wheel, y + tall), wide // 9, (20, 20, 20), -1)
    plate = cv2.resize(draw(rng, BLUE, serial(rng, BLUE)), (wide // 3, wide // 10))
    top, left = y + tall * 2 // 3, x + wide // 3
    room = scene[top : top + plate.shape[0], left : left + plate.shape[1]]
    room[:] = plate[: room.shape[0], : room.shape[1]]


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    blue, green, red = (int(part) for part in rng.integers(20, 236, 3))
    return blue, green, red


def _clipped(picture: ArrayLike) -> Image:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
