"""Plates that a detector found in pictures: a box or four corners each, in pixels of the picture.

A corner is a point of the continuous picture, as detectors give it: the top left pixel reaches from
0 to 1 in x and y.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.image_format import PUBLISHED, ImageFormat
from lprnet.runtime.image_io import letterbox, resize
from lprnet.runtime.two_rows import has_two_rows
from lprnet.support.errors import UserError

FARTHEST = 1_000_000.0
"""Pixels from the origin: a larger number is no place in a picture."""


@dataclass(frozen=True, slots=True)
class Box:
    """A plate in a picture. `numbers` are x1, y1, x2, y2 of an upright box, or x and y of four
    corners: top left, top right, bottom right, bottom left, as one sees the plate.

    Raises `ValueError`, its message completing "the box ...", for numbers that bound nothing.
    """

    numbers: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.numbers) not in (4, 8):
            raise ValueError("has neither 4 nor 8 numbers")
        if not all(math.isfinite(one) and abs(one) <= FARTHEST for one in self.numbers):
            raise ValueError(f"has a number that is not finite or beyond {FARTHEST:,.0f}")
        if len(self.numbers) == 4:
            x1, y1, x2, y2 = self.numbers
            if x1 >= x2 or y1 >= y2:
                raise ValueError("is empty: x1 and y1 are its left and upper side")
        elif not _is_convex(self.numbers):
            raise ValueError(
                "has corners that do not go around a plate: top left, top right, bottom right, "
                "bottom left"
            )


def cut(
    picture: NDArray[np.uint8],
    box: Box,
    image_format: ImageFormat = PUBLISHED,
    rows: str = "1",
) -> NDArray[np.uint8]:
    """The plate in `picture`, `(H, W, 3)` uint8 BGR, as `image_format.shape` uint8; with two rows
    as `rows` of `two_rows.ROWS` says, by the shape of the box.

    An upright box is a view of the picture, its sides rounded to pixels, resized as `resize` does.
    Four corners are mapped by a homography straight to the size of the result, bilinear, so that
    the cost does not depend on how far they are apart. Raises `UserError` if the box lies outside
    the picture.
    """
    tall, wide = picture.shape[:2]
    xs, ys = box.numbers[::2], box.numbers[1::2]
    left, right = max(0, round(min(xs))), min(wide, round(max(xs)))
    top, bottom = max(0, round(min(ys))), min(tall, round(max(ys)))
    if left >= right or top >= bottom:
        raise UserError(
            f"holds no pixel of the picture, which has {wide}x{tall}; give pixels, not shares"
        )
    if len(box.numbers) == 4:
        return resize(picture[top:bottom, left:right], image_format, rows)
    if has_two_rows(*_size(box), rows):
        # Large enough that the two rows beside each other are as large as the result.
        twice = ImageFormat(2 * image_format.height, image_format.width)
        return resize(_rectified(picture, box, twice), image_format, "2")
    return resize(_rectified(picture, box, image_format), image_format)


def _rectified(
    picture: NDArray[np.uint8], box: Box, image_format: ImageFormat
) -> NDArray[np.uint8]:
    """The plate within four corners, seen from the front, no larger than `image_format` is."""
    corners = np.array(box.numbers, np.float32).reshape(4, 2)
    width, height = image_format.width, image_format.height
    if image_format.fit == "letterbox":
        across, down = _size(box)
        width, height = letterbox(down, across, image_format)
    ends = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    # OpenCV has the origin in the middle of the first pixel, half a pixel from its corner.
    homography = cv2.getPerspectiveTransform(corners - 0.5, ends - 0.5)
    return cv2.warpPerspective(
        picture, homography, (width, height), borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _size(box: Box) -> tuple[float, float]:
    """Width and height of the plate within four corners: its longer sides."""
    corners = np.array(box.numbers, np.float32).reshape(4, 2)
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return float(max(sides[0], sides[2])), float(max(sides[1], sides[3]))


def _is_convex(numbers: tuple[float, ...]) -> bool:
    """Whether four corners turn right at each: y points down, so that this is clockwise."""
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    for first, second, third in zip(
        points, points[1:] + points[:1], points[2:] + points[:2], strict=True
    ):
        ax, ay = second[0] - first[0], second[1] - first[1]
        bx, by = third[0] - second[0], third[1] - second[1]
        if ax * by - ay * bx <= 0:
            return False
    return True
