"""What the network sees of a pixel p: `(p - OFFSET) * SCALE`, as in the public checkpoint."""

import numpy as np
from numpy.typing import NDArray

OFFSET = 127.5
SCALE = 1 / 128

PIXELS = "pixels as they are, 0 to 255"
NORMALISED = "(pixel - 127.5) / 128"
"""What an ONNX file of `build --onnx` reads, as its description says it."""


def normalise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 3, 24, 94)` float32, contiguous, `(x - 127.5) / 128`."""
    centred = images.astype(np.float32) - np.float32(OFFSET)
    return np.ascontiguousarray((centred * np.float32(SCALE)).transpose(0, 3, 1, 2))
