"""Weights that Winograd's algorithm multiplies exactly as bytes (`schedules/winograd/s8.py`).

Of three taps in a row it multiplies half of g0 + g1 + g2 and of g0 - g1 + g2, so their sum must be
even, and both of at most 254. The tap that is rounded last sees to that: where the sum would be
odd, it goes to the next integer on the other side of its real value, and the weights not yet
rounded make up for the error (`gptq.py`). Inputs must be of 7 bits (`MAX_INPUT` of
`relay_passes/lowering/check_exact_winograd.py`).

With VNNI that saves a third of such a layer's products. Measured on the public checkpoint, pruned
to 28 million multiply-accumulates: 0.6 % fewer of 3,000 rendered plates are read as the network in
float32 reads them.
"""

import torch
from torch import Tensor

from lprnet.compression.quantize.int16_pairs import PairRounding
from lprnet.model.architecture import Architecture, Conv

MIN_WEIGHTS = 1024
"""Of a tap. Below, the transforms take what they save: 16 channels to 16 take as long either way,
16 to 32 take 0.9 of the time.
"""
_MIDDLE = 1
_LIMIT = 2 * 127
"""Of what is halved."""


def has_even_filters(architecture: Architecture, conv: Conv, weight: Tensor) -> bool:
    """Whether `conv`, of OIHW `weight`, is rounded so that Winograd's algorithm can compute it: a
    filter of three taps along an axis on which outputs come in pairs.
    """
    _, height, width = architecture.shapes()[conv.name]
    pairs = {(3, 1): height, (1, 3): width}.get(conv.kernel, 1) % 2 == 0
    outputs, channels, *_ = weight.shape
    return pairs and conv.row_stride == 1 and outputs * channels >= MIN_WEIGHTS


class EvenRounding(PairRounding):
    """Also makes the sum of three taps even."""

    smallest = 2.0

    def limits(self, channel: int, tap: int) -> tuple[Tensor, Tensor]:
        """Of the last tap also what its filter's sums leave it."""
        lowest, highest = super().limits(channel, tap)
        if self.taps_left[channel] == 0:
            g0, g1, g2 = self.integers[channel]
            for rest in self._rests(tap, g0 + g2, g1):
                lowest = torch.maximum(lowest, -_LIMIT - rest)
                highest = torch.minimum(highest, _LIMIT - rest)
        return lowest, highest

    def _rests(self, tap: int, outer: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
        """What the last tap is added to: `outer` and `middle` without it."""
        if tap == _MIDDLE:
            return outer, -outer
        return outer + middle, outer - middle

    def nearest(self, channel: int, real: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
        """Of the last tap the nearest that makes the sum even; inwards, where a limit is."""
        rounded = super().nearest(channel, real, lowest, highest)
        if self.taps_left[channel] > 0:
            return rounded
        odd = (self.integers[channel].sum(dim=0) + rounded) % 2 != 0
        side = torch.where(real >= rounded, 1.0, -1.0).to(rounded.dtype)
        other = rounded + side
        within = (other >= lowest) & (other <= highest)
        return torch.where(odd, torch.where(within, other, rounded - side), rounded)
