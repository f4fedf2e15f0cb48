"""A lookup table that requantizes 8-bit integers to another scale and zero point."""

import numpy as np
from numpy.typing import NDArray


def requantization(
    scale: float, zero_point: float, new_scale: float, new_zero_point: int, qmax: int
) -> NDArray[np.uint8]:
    """`(256,)` uint8: each integer of the first scale and zero point, requantized to 0 to `qmax`.

    As ONNX defines DequantizeLinear and QuantizeLinear: float32, rounded to nearest, ties to even.
    """
    real = (np.arange(256, dtype=np.float32) - np.float32(zero_point)) * np.float32(scale)
    steps = np.rint(real / np.float32(new_scale)) + new_zero_point
    table: NDArray[np.uint8] = steps.clip(0, qmax).astype(np.uint8)
    return table
