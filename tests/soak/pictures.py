"""Image files and what is read on each: rendered plates, and mutants, most of them bad."""

import random
from dataclasses import dataclass

import cv2

from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from tests.fuzz.targets import find_target, mutant

PLATES, MUTANTS = 96, 96
MOST_PIXELS = 1 << 20
"""Mutants say to be of any size; a large one takes a thread for seconds, which is another test."""


@dataclass(frozen=True)
class Picture:
    """An image file, and the text that is read on it; None where it is refused."""

    content: bytes
    text: str | None


def pictures(recognizer: Recognizer) -> tuple[list[Picture], list[Picture]]:
    """Good and bad ones, read one at a time by a recognizer that nobody else uses."""
    encoded = (cv2.imencode(".jpg", image)[1].tobytes() for image, _ in sample_plates(PLATES))
    mutants = (mutant(find_target("images"), number)[1] for number in range(MUTANTS))
    good = [Picture(content, read(recognizer, content)) for content in encoded]
    return good, [Picture(content, read(recognizer, content)) for content in mutants]


def read(recognizer: Recognizer, image: bytes | str) -> str | None:
    """The text, or None where the image is refused."""
    try:
        return recognizer.read(image, max_pixels=MOST_PIXELS).text
    except UserError:
        return None


def draw(rng: random.Random, good: list[Picture], bad: list[Picture], most: int) -> list[Picture]:
    """Up to `most`, one in eight of them bad."""
    return [rng.choice(bad if rng.random() < 0.125 else good) for _ in range(rng.randint(1, most))]
