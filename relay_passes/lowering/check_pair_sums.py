"""Checks that int8 weights are exact with an instruction that sums pairs of products in int16."""

import numpy as np
import numpy.typing as npt
import tvm_ffi

INT16 = np.iinfo(np.int16)


@tvm_ffi.register_error  # otherwise a pass turns it into another exception
class PairSumError(ValueError):
    """A network whose weights a target cannot multiply exactly."""


def check_pair_sums(weight: npt.NDArray[np.int8], largest_input: int) -> None:
    """Raise `PairSumError` if `vpmaddubsw` might saturate: `weight (..., C)` int8 is multiplied by
    inputs of 0 to `largest_input`, channels 2i and 2i + 1 together.
    """
    pairs = weight.astype("int64").reshape(-1, 2)
    highest = largest_input * pairs.clip(min=0).sum(1).max(initial=0)
    lowest = largest_input * pairs.clip(max=0).sum(1).min(initial=0)
    if highest > INT16.max or lowest < INT16.min:
        raise PairSumError(
            "a pair of this network's int8 weights does not fit AVX2's 16-bit sums; quantize it "
            "with 7-bit weights (reduce_range) or build for cascadelake or later."
        )
