"""What a distilled network is quantized on."""

from pathlib import Path

import numpy as np

from lprnet.compression.calibration import rendered_images, with_rendered


def test_rendered_plates_stand_beside_photographs() -> None:
    images = np.zeros((3, 24, 94, 3), np.uint8)
    found = with_rendered(images, [Path(f"{number}.png") for number in range(3)])
    np.testing.assert_array_equal(found[:3], images)
    np.testing.assert_array_equal(found[3:], rendered_images())


def test_rendered_plates_alone_do_not_count_twice() -> None:
    images = np.zeros((3, 24, 94, 3), np.uint8)
    assert with_rendered(images, []) is images
