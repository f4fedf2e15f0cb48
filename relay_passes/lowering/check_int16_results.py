"""Whether a convolution's requantized sums fit int16, as kernels need it that pack them by
`vpackuswb`.
"""

import numpy as np
import numpy.typing as npt


def fit_int16(
    weight: npt.NDArray[np.int8],
    bias: npt.NDArray[np.int32],
    multiplier: npt.NDArray[np.float32],
    largest_input: int,
) -> bool:
    """Whether `rint((sum + bias) * multiplier)` is from -32768 to 32767 for all inputs.

    `weight (O, C, KH, KW)` int8 is multiplied by inputs of 0 to `largest_input`; `bias` and
    `multiplier` are `(O,)`. A float32 sum is off by less than one part in 2**23.
    """
    taps = weight.astype("int64").reshape(len(weight), -1)
    highest = bias + largest_input * taps.clip(min=0).sum(1)
    lowest = bias + largest_input * taps.clip(max=0).sum(1)
    largest = np.maximum(abs(highest), abs(lowest)) * (1 + 2.0**-23)
    return bool((largest * abs(multiplier.astype("float64")) < np.iinfo(np.int16).max).all())
