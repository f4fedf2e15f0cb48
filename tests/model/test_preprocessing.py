import numpy as np

from lprnet.model.preprocessing import normalise


def test_normalise_is_the_reference_arithmetic() -> None:
    picture = np.random.default_rng(7).integers(0, 256, (24, 94, 3), dtype=np.uint8)
    batch = np.stack([picture, 255 - picture])
    result = normalise(batch)
    assert result.shape == (2, 3, 24, 94)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    for one, expected in zip(result, batch, strict=True):
        image = expected.astype("float32")
        image -= 127.5
        image *= 0.0078125
        np.testing.assert_array_equal(one, np.transpose(image, (2, 0, 1)))
