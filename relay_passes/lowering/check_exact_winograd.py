"""Whether F(2, 3) computes an integer convolution exactly with products of bytes
(`schedules/winograd/s8.py`).
"""

import numpy as np
import numpy.typing as npt

from schedules.winograd.cook_toom import FILTERS, TAPS

MAX_WINOGRAD_INPUT = 127
"""Sums of two inputs fit uint8, and so do their differences plus 128."""


def winograd_is_exact(
    weight: npt.NDArray[np.int8], bias: npt.NDArray[np.int32], largest_input: int
) -> bool:
    """Whether inputs of 0 to `largest_input`, the transformed filters of `weight (O, C, KH, KW)`
    int8 and all sums with the `bias (O,)` fit their types, and no transformed filter is rounded.
    """
    if weight.shape[2:] not in FILTERS or largest_input > MAX_WINOGRAD_INPUT:
        return False
    g0, g1, g2 = np.moveaxis(weight.astype("int64").reshape(*weight.shape[:2], TAPS), -1, 0)
    doubled = np.stack([2 * g0, g0 + g1 + g2, g0 - g1 + g2, 2 * g2])
    if (doubled % 2).any():
        return False
    transformed = doubled // 2
    byte, word = np.iinfo("int8"), np.iinfo("int32")
    fit = transformed.min(initial=0) >= byte.min and transformed.max(initial=0) <= byte.max
    # Of each transformed filter: its input is at most 255, and what makes up for the 128 in inputs
    # and goes into the biases is at most 128 of each.
    largest = np.abs(bias.astype("int64")) + (255 + 256) * np.abs(transformed).sum((0, 2))
    return bool(fit and (largest <= word.max).all())
