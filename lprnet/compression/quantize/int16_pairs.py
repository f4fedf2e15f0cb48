"""Weights of 8 bits whose products `vpmaddubsw` sums without saturation.

It adds the products of two neighbouring channels in 16 bits, with saturation: of bytes up to 255,
weights of one sign in a pair may make up 128 together (255 * 128 = 32,640). ONNX Runtime's answer
is `reduce_range`, weights of 7 bits, of which all pairs fit; but so do 97 of 100 pairs of 8 bits.
So weights keep 8 bits and each pair its limit: a row's scale leaves room for its largest pair, and
of a pair the weight rounded first leaves the rest to its partner, whose error the weights not yet
rounded make up for (`gptq.py`). On the public checkpoint that is 1.8 of the 2.2 dB between 7 and 8
bits.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from lprnet.model.quantized import SCALE_OF_ZEROS

QMAX = 127
PAIR_LIMIT = (2**15 - 1) // 255
"""Of the sum of a pair's weights of one sign; -255 * 128 fits as well."""
FRACTIONS = torch.linspace(0.4, 1.0, 31)
"""Of the scale that clips nothing, tried as the scale."""


def pair_scales(weight: Tensor) -> Tensor:
    """As `scale_search.weight_scales` with 127 for qmax, of OIHW `weight` in which channels 2i and
    2i + 1 of a tap are a pair, the last of an odd number with none.
    """
    outputs, channels, height, width = weight.shape
    even = pad(weight, (0, 0, 0, 0, 0, channels % 2))
    pairs = even.reshape(outputs, -1, 2, height * width).movedim(2, -1).flatten(1, 2)
    larger, smaller = pairs.abs().amax(dim=-1), pairs.abs().amin(dim=-1)
    one_sign = pairs.prod(dim=-1) > 0
    needed = torch.maximum(larger / QMAX, (larger + smaller * one_sign) / PAIR_LIMIT).amax(dim=1)
    needed = torch.where(needed > 0, needed, torch.full_like(needed, SCALE_OF_ZEROS))
    best, scales = torch.full_like(needed, torch.inf), needed
    for fraction in FRACTIONS.to(weight.dtype):
        tried = (fraction * needed)[:, None]
        first = (larger / tried).round().clamp(max=QMAX)
        second = (smaller / tried).round().clamp(max=QMAX)
        second = torch.where(one_sign, torch.minimum(second, PAIR_LIMIT - first), second)
        error = (first * tried - larger).square() + (second * tried - smaller).square()
        better = error.sum(dim=1) < best
        best = torch.where(better, error.sum(dim=1), best)
        scales = torch.where(better, tried[:, 0], scales)
    return scales


class PairRounding:
    """Rounds a layer's weights one `(channel, tap)` at a time, for all outputs `(O,)` at once.

    Every channel that had weights keeps one: if no output read it any more it would be dropped, and
    its neighbours would get other partners.
    """

    def __init__(self, shape: torch.Size) -> None:
        """`shape` is OIHW."""
        outputs, channels, height, width = shape
        self.integers = torch.zeros(channels, height * width, outputs, dtype=torch.float64)
        self.taps_left = [height * width] * channels

    def __call__(self, row: int, real: Tensor) -> Tensor:
        """Integers for the `real` multiples of the scales in a row of the `(C * KH * KW, O)`
        matrix.
        """
        channel, tap = divmod(row, self.integers.shape[1])
        other = torch.zeros_like(real)
        partner = channel ^ 1
        if partner < len(self.integers):
            other = self.integers[partner, tap]
        lowest = (-PAIR_LIMIT - other.clamp(max=0)).clamp(min=-QMAX)
        highest = (PAIR_LIMIT - other.clamp(min=0)).clamp(max=QMAX)
        rounded = real.round().clamp(lowest, highest)
        self.taps_left[channel] -= 1
        unread = not (rounded.any() or self.integers[channel].any())
        if unread and self.taps_left[channel] == 0 and real.any():
            largest = real.abs().argmax()
            rounded[largest] = 1.0 if real[largest] >= 0 else -1.0
        self.integers[channel, tap] = rounded
        return rounded
