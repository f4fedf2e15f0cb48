"""What a batch is told goes to the recognizer."""

import asyncio
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lprnet.runtime.image_io import decode_image
from lprnet.runtime.recognizer import Recognizer
from lprnet.service.reader import Job, Reader
from tests.runtime.image_files import encode
from tests.runtime.tiny_artifact import IMAGE


class Seen(Recognizer):
    """Keeps what it was given."""

    images: NDArray[np.uint8]

    def logits(self, images: ArrayLike) -> NDArray[np.float32]:
        self.images = np.array(images, np.uint8)
        return super().logits(images)


def test_two_rows_are_set_into_one(letter: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 60, 3), dtype=np.uint8)
    content = encode(".png", noise)
    recognizer = Seen(letter)
    loop = asyncio.new_event_loop()
    job = Job(content, 1, 0.0, loop.create_future())
    read = {}
    for rows in ("1", "2"):
        (outcome,) = Reader(recognizer, 10_000, rows=rows).read([job])
        assert isinstance(outcome, tuple)
        read[rows] = recognizer.images[0]
        expected = decode_image(content, "it", image_format=IMAGE, rows=rows)
        np.testing.assert_array_equal(read[rows], expected)
    assert (read["1"] != read["2"]).any()
    loop.close()
