"""Images without a plate, and texts that no plate has."""

import numpy as np

from lprnet.runtime.alphabet import CHINA
from lprnet.synthetic.other_images import other_image, other_text


def test_images_are_a_function_of_their_number() -> None:
    images = [other_image(1, index) for index in range(30)]
    for index, image in enumerate(images):
        assert image.shape == (24, 94, 3)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(other_image(1, index), image)
    assert len({image.tobytes() for image in images}) == 30
    spread = [image.std(axis=(0, 1)).mean() for image in images]
    assert min(spread[1::3]) > 5, "noise is not blank"


def test_texts_are_spelled_in_the_alphabet_and_no_plate_has_them() -> None:
    for index in range(60):
        image, text = other_text(2, index, 1.0)
        assert image.shape == (24, 94, 3)
        assert CHINA.encode(text)
        assert not CHINA.is_plate(text)
