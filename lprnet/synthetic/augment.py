"""What happens between a plate and its 94x24 crop: dents, dirt, pose, light, lens, sensor, JPEG.

Every strength grows with `difficulty`. At 1 it is meant to be a fixed camera at a car park: sigmas
of 6.5 degrees in yaw, 4.5 in pitch and 2.3 in roll, and one plate in four rolled by up to 11
degrees; a detector's box too large by 1.5 % at the sides and by 3 % above and below, with a sigma
of as much; plates 67 to 250 pixels wide; one in ten blurred by motion, one in sixteen at night, one
in thirteen in glare. At 2 all that doubles: street parking photographed by hand, some of which
people cannot read either.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.runtime.two_rows import one_row

ONE_ROW, TWO_ROWS = (0.24, 0.42), (0.47, 0.6)
"""Least and most height of a detector's box, as shares of its width."""

Image = NDArray[np.uint8]
Float = NDArray[np.float32]


def photograph(rng: np.random.Generator, plate: Image, difficulty: float) -> Image:
    """A flat `(h, w, 3)` uint8 BGR plate as a camera and a detector hand it over, `(24, 94, 3)`."""
    seen = _stored_by_camera(rng, _photographed(rng, plate, difficulty, ONE_ROW), difficulty)
    return _resized(rng, seen, difficulty)


def photograph_two_rows(
    rng: np.random.Generator, plate: Image, difficulty: float
) -> tuple[Image, Image]:
    """The same of a plate with two rows: what the detector hands over, `(h, w, 3)`, and the rows of
    that beside each other, `(24, 94, 3)`.
    """
    seen = _stored_by_camera(rng, _photographed(rng, plate, difficulty, TWO_ROWS), difficulty)
    return seen, _resized(rng, one_row(seen), difficulty)


def _photographed(
    rng: np.random.Generator, plate: Image, difficulty: float, shape: tuple[float, float]
) -> Image:
    """What the lens shows, `shape` the limits of a detector's box, its height by its width."""
    scene = _soil(rng, _dent(rng, plate, difficulty), difficulty)
    corners = _pose(rng, plate.shape[1] / plate.shape[0], difficulty)
    size = _sampled_size(rng, difficulty, shape)
    seen = _crop(rng, scene, corners, size, difficulty)
    seen = _light(rng, seen, difficulty)
    return _blur(rng, seen, difficulty)


def _dent(rng: np.random.Generator, plate: Image, difficulty: float) -> Image:
    """The plate bent out of its plane: smooth shifts of about 1.5 mm, as a camera sees them.

    They also keep the network from leaning on the exact outlines of the few fonts there are.
    """
    height, width = plate.shape[:2]
    spread = abs(rng.normal(0, 0.009 * difficulty)) * height
    coarse = rng.normal(0, spread, (2, 4, 9)).astype(np.float32)
    shift = [cv2.resize(axis, (width, height), interpolation=cv2.INTER_CUBIC) for axis in coarse]
    x = np.arange(width, dtype=np.float32)[None, :] + shift[0]
    y = np.arange(height, dtype=np.float32)[:, None] + shift[1]
    bent = cv2.remap(plate, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.uint8)


def _soil(rng: np.random.Generator, plate: Image, difficulty: float) -> Image:
    """Smooth patches of dirt or a worn coat, and now and then a shadow's edge across the plate."""
    if rng.random() > 0.2 * difficulty:
        return plate
    height, width = plate.shape[:2]
    coarse = rng.random((4, 10)).astype(np.float32)
    patches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    dirt = np.clip((patches - 0.55) * 2, 0, 1)[:, :, None] * rng.uniform(0, 0.3) * difficulty
    colour = rng.uniform(40, 160, 3).astype(np.float32)
    soiled: Float = plate + np.minimum(dirt, 0.7) * (colour - plate)
    if rng.random() < 0.4:
        x = np.arange(width, dtype=np.float32)[None, :, None]
        y = np.arange(height, dtype=np.float32)[:, None, None]
        edge = (x - rng.uniform(0, width)) * rng.choice((-1, 1)) + (y - height / 2) * rng.normal()
        soiled = np.where(edge > 0, soiled * rng.uniform(0.35, 0.8), soiled)
    return np.clip(soiled, 0, 255).astype(np.uint8)


def _pose(rng: np.random.Generator, aspect: float, difficulty: float) -> Float:
    """The plate's corners `(4, 2)` after a rotation in space and a pinhole camera, any scale."""
    spread = np.array([4.5, 6.5, 2.25]) * difficulty
    pitch, yaw, roll = np.deg2rad(np.clip(rng.normal(0, spread), -2.6 * spread, 2.6 * spread))
    if rng.random() < 0.25 * difficulty:
        roll += np.deg2rad(rng.uniform(-11, 11))
    turn, _ = cv2.Rodrigues(np.array([pitch, 0, 0]))
    for axis in ([0, yaw, 0], [0, 0, roll]):
        turn = cv2.Rodrigues(np.array(axis, np.float64))[0] @ turn
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [aspect / 2, 0.5]
    space = np.column_stack([flat, np.zeros(4)]) @ turn.T
    distance = rng.uniform(6, 25)
    seen = space[:, :2] * (distance / (distance + space[:, 2:]))
    return np.asarray(seen, np.float32)


def _sampled_size(
    rng: np.random.Generator, difficulty: float, shape: tuple[float, float]
) -> tuple[int, int]:
    """Width and height in camera pixels of the detector's box."""
    smallest = 94 / (1 + 0.4 * difficulty)
    width = np.exp(rng.uniform(np.log(smallest), np.log(250)))
    return round(width), max(14, round(width * rng.uniform(*shape)))


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Bodywork, `(h, w, 3)` uint8: one tone above the plate and another below it, bars at times.

    Paint is black, white or grey more often than coloured, and the recess of a plate is in shadow.
    """
    width, height = size
    tones = np.where(rng.random(2) < 0.5, rng.uniform(5, 70, 2), rng.uniform(40, 245, 2))
    coarse = tones[:, None, None] + rng.normal(0, 18, (2, 3, 1)) + rng.normal(0, 9, (2, 3, 3))
    upper, lower = (
        cv2.resize(np.clip(half, 0, 255).astype(np.float32)[None], size) for half in coarse
    )
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    body: Float = np.where(y < rng.uniform(0.3, 0.7), upper, lower)
    if rng.random() < 0.35:
        slope = np.linspace(0, rng.uniform(-0.15, 0.15), width, dtype=np.float32)[None, :, None]
        bars = np.sin((y + slope) * rng.uniform(20, 70) + rng.uniform(0, 6.3))
        body = body + np.float32(rng.uniform(10, 70)) * bars
    return np.clip(body, 0, 255).astype(np.uint8)


def _crop(
    rng: np.random.Generator, scene: Image, corners: Float, size: tuple[int, int], difficulty: float
) -> Image:
    """The box around the corners, each side off by a few percent, sampled at `size`."""
    low, high = corners.min(0), corners.max(0)
    extent = high - low
    # Boxes are rather too large than too small, above and below more than at the sides.
    spread = np.array([0.015, 0.03]) * difficulty
    margins = np.clip(rng.normal(spread, spread, (2, 2)), -0.05, 0.09 * difficulty)
    low, high = low - margins[0] * extent, high + margins[1] * extent
    target = ((corners - low) / (high - low) * np.array(size, np.float32)).astype(np.float32)
    height, width = scene.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shrink = min(width / size[0], height / size[1])
    if shrink > 1.2:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), 0.45 * shrink), np.uint8)
    seen = _background(rng, size)
    # Pixel centres sit at halves.
    matrix = cv2.getPerspectiveTransform(source - 0.5, target - 0.5)
    cv2.warpPerspective(
        scene, matrix, size, seen, cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
    return seen


def _light(rng: np.random.Generator, seen: Image, difficulty: float) -> Image:
    """Exposure, gamma, saturation, contrast, colour cast; at times night, at times a glare spot."""
    picture = seen.astype(np.float32) / 255
    picture = picture ** np.float32(np.exp(rng.normal(0, 0.125 * difficulty)))
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + np.float32(np.clip(rng.normal(1.1, 0.15 * difficulty), 0, 1.6)) * (
        picture - grey
    )
    cast = np.exp(rng.normal(0, 0.035 * difficulty, 3)).astype(np.float32)
    gain = np.exp(rng.normal(-0.05, 0.1 * difficulty))
    if rng.random() < 0.06 * difficulty:
        gain *= rng.uniform(0.25, 0.6)
        cast *= np.array([rng.uniform(0.6, 1.0), rng.uniform(0.85, 1.0), 1.0], np.float32)
    picture = picture * (cast * np.float32(gain))
    contrast = rng.uniform(1 - 0.2 * min(difficulty, 3), 1.15)
    picture = picture * contrast + (1 - contrast) * rng.uniform(0.1, 0.8)
    if rng.random() < 0.075 * difficulty:
        height, width = seen.shape[:2]
        x = (np.arange(width, dtype=np.float32)[None, :] - rng.uniform(0, width)) / width
        y = (np.arange(height, dtype=np.float32)[:, None] - rng.uniform(0, height)) / height
        spot = np.exp(-(x**2 / rng.uniform(0.01, 0.3) + y**2 / rng.uniform(0.1, 2)))
        picture = picture + (spot * rng.uniform(0.1, 0.5))[:, :, None].astype(np.float32)
    return np.asarray(np.clip(picture, 0, 1) * 255, np.float32).astype(np.uint8)


def _blur(rng: np.random.Generator, seen: Image, difficulty: float) -> Image:
    """Defocus, then now and then motion along a random direction; in units of the box's width."""
    width = seen.shape[1]
    sigma = abs(rng.normal(0, 0.00325 * difficulty)) * width
    if sigma > 0.25:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), sigma), np.uint8)
    if rng.random() < 0.1 * difficulty:
        length = rng.uniform(0.005, 0.0225) * width * min(difficulty, 3)
        angle = rng.uniform(0, np.pi)
        kernel = np.zeros((15, 15), np.float32)
        step = np.array([np.cos(angle), np.sin(angle)]) * min(length, 14) / 2
        first, last = np.round((7 - step) * 16), np.round((7 + step) * 16)
        cv2.line(
            kernel, first.astype(int).tolist(), last.astype(int).tolist(), 1.0, 1, cv2.LINE_8, 4
        )
        seen = np.asarray(cv2.filter2D(seen, -1, kernel / kernel.sum()), np.uint8)
    return seen


def _stored_by_camera(rng: np.random.Generator, seen: Image, difficulty: float) -> Image:
    """Sharpening as most cameras do it, noise and JPEG, at the camera's resolution."""
    if rng.random() < 0.4:
        soft = cv2.GaussianBlur(seen, (0, 0), 0.008 * seen.shape[1])
        amount = rng.uniform(0.2, 1.2)
        seen = np.asarray(cv2.addWeighted(seen, 1 + amount, soft, -amount, 0), np.uint8)
    noise = rng.normal(0, abs(rng.normal(0, 3 * difficulty)) + 0.5, seen.shape)
    seen = np.clip(seen + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        seen = _stored(seen, rng.uniform(95 - 27 * min(difficulty, 3), 95))
    return seen


def _resized(rng: np.random.Generator, seen: Image, difficulty: float) -> Image:
    """The resize to 94x24, often JPEG once more."""
    method = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_AREA
    size = (LPRNET_CHINA.width, LPRNET_CHINA.height)
    seen = np.asarray(cv2.resize(seen, size, interpolation=method), np.uint8)
    if rng.random() < 0.6:
        seen = _stored(seen, rng.uniform(97 - 15 * min(difficulty, 3), 97))
    return seen


def _stored(picture: Image, quality: float) -> Image:
    """Written as JPEG and read again."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
