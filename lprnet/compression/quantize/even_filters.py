"""Weights that Winograd's algorithm multiplies exactly as bytes (`schedules/winograd/s8.py`).

Of three taps in a row it multiplies half of g0 + g1 + g2 and of g0 - g1 + g2, so their sum must be
even, and both of at most 254 in magnitude. So the three are rounded together, and the weights not
yet rounded make up for the error (`gptq.py`). Inputs must be of 7 bits (`MAX_WINOGRAD_INPUT` of
`relay_passes/lowering/check_exact_winograd.py`); of these no pair of products saturates, so the
weights need no limit of pairs (`int16_pairs.py`).

With VNNI that saves a third of such a layer's products.
"""

import itertools

import torch
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.least_squares import NormalEquations
from lprnet.compression.quantize.gptq import ErrorFeedback
from lprnet.compression.quantize.int16_pairs import FRACTIONS, QMAX
from lprnet.model.architecture import Conv
from lprnet.model.quantized import SCALE_OF_ZEROS
from schedules.winograd.cook_toom import TAPS, outputs_along
from schedules.winograd.s8_tiles import OUTPUTS

MIN_WEIGHTS = 768
"""Of a tap. Below, kernels gain little and get larger: those of 24 channels to 24 and 16 to 32 took
9 KB more code, and a call of the public checkpoint was no faster.
"""
_LIMIT = 2 * QMAX
"""Of what is halved."""


def even_layers(network: CompactNetwork) -> frozenset[str]:
    """Names of the convolutions that are rounded so that Winograd's algorithm can compute them.

    Their filters have three taps along an axis on which outputs come in pairs, they skip no row,
    and they do not read the image, whose pixels have 8 bits.
    """
    architecture = network.architecture
    shapes = architecture.shapes()

    def fits(conv: Conv) -> bool:
        along = outputs_along(conv.kernel, *shapes[conv.name][1:])
        pairs = along is not None and along % OUTPUTS == 0
        outputs, channels, *_ = network.weights[conv.name].shape
        reads_image = architecture.producer(conv) is None
        skips = conv.row_stride > 1
        return pairs and not (reads_image or skips) and outputs * channels >= MIN_WEIGHTS

    return frozenset(conv.name for conv in architecture.backbone if fits(conv))


def even_scales(weight: Tensor) -> Tensor:
    """One scale for each output of OIHW `weight`, of three taps: `q = rint(w / scale)` loses least
    where taps and their sums are clipped to what fits.
    """
    taps = weight.flatten(1).reshape(*weight.shape[:2], TAPS)
    sums = _to_halve(*taps.unbind(dim=2)).abs().amax(dim=(0, 2))
    needed = torch.maximum(taps.abs().amax(dim=(1, 2)) / QMAX, sums / _LIMIT)
    needed = torch.where(needed > 0, needed, torch.full_like(needed, SCALE_OF_ZEROS))
    best, scales = torch.full_like(needed, torch.inf), needed
    for fraction in FRACTIONS.to(weight.dtype):
        tried = fraction * needed
        steps = taps / tried[:, None, None]
        rounded = steps.round().clamp(-QMAX, QMAX)
        beyond = (_to_halve(*rounded.unbind(dim=2)).abs() - _LIMIT).clamp(min=0)
        clipped = beyond.square().sum(dim=0)
        error = ((rounded - steps).square().sum(dim=2) + clipped).sum(dim=1) * tried.square()
        better = error < best
        best, scales = torch.where(better, error, best), torch.where(better, tried, scales)
    return scales


def _to_halve(g0: Tensor, g1: Tensor, g2: Tensor) -> Tensor:
    """Both sums that Winograd's algorithm halves, one after the other."""
    return torch.stack([g0 + g1 + g2, g0 - g1 + g2])


def round_to_even(equations: NormalEquations, solution: Tensor, scales: Tensor) -> Tensor:
    """As `gptq_quantize`, channel after channel: of the integers below and above two of its taps,
    and of those of the last that make the sum even, the three that lose least together.

    `solution` is `(3 C + 1, O)`, the three taps of a channel one after another.
    """
    energy = equations.xtx.diagonal()[:-1].reshape(-1, TAPS).sum(dim=1)
    channels = energy.argsort(descending=True)
    order = (channels[:, None] * TAPS + torch.arange(TAPS)).flatten()
    left = ErrorFeedback(equations, solution, scales, order)
    for first in range(0, len(order), TAPS):
        stop = first + TAPS
        factor = left.factor[first:stop, first:stop]
        for tap, integers in enumerate(_nearest_even(left.multiples(first, stop), factor)):
            left.round(first + tap, integers)
    return left.solution()


def _nearest_even(real: Tensor, factor: Tensor) -> Tensor:
    """Integers for three taps `(3, O)`; `factor` `(3, 3)` as in `ErrorFeedback`."""
    least, best = torch.full_like(real[0], torch.inf), torch.zeros_like(real)
    for up0, up1 in itertools.product((0, 1), repeat=2):
        g0 = (real[0].floor() + up0).clamp(-QMAX, QMAX)
        lost0 = (real[0] - g0) / factor[0, 0]
        real1 = real[1] - factor[0, 1] * lost0
        g1 = (real1.floor() + up1).clamp(-QMAX, QMAX)
        lost1 = (real1 - g1) / factor[1, 1]
        real2 = real[2] - factor[0, 2] * lost0 - factor[1, 2] * lost1
        g2 = _last_tap(g0, g1, real2)
        lost2 = (real2 - g2) / factor[2, 2]
        lost = lost0.square() + lost1.square() + lost2.square()
        best = torch.where(lost < least, torch.stack([g0, g1, g2]), best)
        least = torch.minimum(lost, least)
    return best


def _last_tap(g0: Tensor, g1: Tensor, real: Tensor) -> Tensor:
    """The integer nearest to `real` that makes an even sum with the other two, within limits."""
    parity = (g0 + g1) % 2
    lowest, highest = torch.full_like(real, -QMAX), torch.full_like(real, QMAX)
    for rest in (g0 + g1, g0 - g1):
        lowest = torch.maximum(lowest, -_LIMIT - rest)
        highest = torch.minimum(highest, _LIMIT - rest)
    nearest = 2 * ((real - parity) / 2).round() + parity
    lowest = lowest + (lowest - parity) % 2
    return torch.minimum(torch.maximum(nearest, lowest), highest - (highest - parity) % 2)
