"""From a batch of images to plates, in one thread; a bad image is an error of its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.decode import Plate
from lprnet.runtime.image_io import decode_image
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError

Outcome = tuple[Plate, ...] | UserError
"""The plates on one image, the most probable first, or why it is not read."""
Image = bytes | NDArray[np.uint8]
"""The bytes of an image file, or pixels of the artifact's size."""


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """One image that waits to be read."""

    image: Image
    texts: int
    """How many plates are asked for."""
    arrived: float
    """By the clock of the event loop, in seconds."""
    outcome: asyncio.Future[Outcome]


class Reader:
    """Reads batches with one recognizer; safe to share between threads."""

    def __init__(
        self,
        recognizer: Recognizer,
        max_pixels: int,
        grammar: bool | None = None,
        rows: str = "1",
    ) -> None:
        """`max_pixels` bounds an image file, as in `lprnet/runtime/image_io.py`; `grammar` is as in
        `Recognizer.plates`, `rows` one of `two_rows.ROWS`.
        """
        self.recognizer = recognizer
        self._max_pixels, self._grammar, self._rows = max_pixels, grammar, rows

    def read(self, jobs: Sequence[Job]) -> list[Outcome | None]:
        """The outcome of each job; None for those that were cancelled before their turn came."""
        outcomes: list[Outcome | None] = [None] * len(jobs)
        pixels: dict[int, NDArray[np.uint8]] = {}
        for index, job in enumerate(jobs):
            if job.outcome.cancelled():
                continue
            try:
                pixels[index] = self._pixels(job.image)
            except UserError as error:
                outcomes[index] = error
        for texts in {jobs[index].texts for index in pixels}:
            chosen = [index for index in pixels if jobs[index].texts == texts]
            plates = self._plates([pixels[index] for index in chosen], texts)
            for index, found in zip(chosen, plates, strict=True):
                outcomes[index] = tuple(found)
        return outcomes

    def _pixels(self, image: Image) -> NDArray[np.uint8]:
        if isinstance(image, np.ndarray):
            return image
        image_format = self.recognizer.manifest.image
        return decode_image(image, "the image", self._max_pixels, image_format, self._rows)

    def _plates(self, pixels: Sequence[NDArray[np.uint8]], texts: int) -> list[list[Plate]]:
        logits = self.recognizer.logits(np.stack(pixels))
        return self.recognizer.plates(logits, texts, grammar=self._grammar)
