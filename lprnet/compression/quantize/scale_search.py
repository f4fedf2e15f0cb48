"""Quantization scales by searched mean squared error.

Clipping the few largest values costs less than making every step coarser; the search over the
clipped fraction is the one of Nagel et al., "A White Paper on Neural Network Quantization",
arXiv:2106.08295, section 3.1.
"""

import torch
from torch import Tensor

from lprnet.model.quantized import SCALE_OF_ZEROS

FRACTIONS = torch.linspace(0.5, 1.0, 26)
"""Of the largest magnitude, tried as the end of the range."""
SAMPLES = 2**18
"""Activations are judged on this many of their values, evenly spaced."""


def activation_scale(values: Tensor, qmax: int) -> float:
    """One scale for unsigned `values` (after ReLU): `q = clamp(rint(v / scale), 0, qmax)`."""
    highest = float(values.max())
    if highest <= 0:
        return SCALE_OF_ZEROS
    flat = values.flatten()
    sample = flat[:: max(1, len(flat) // SAMPLES)].contiguous()
    scales = FRACTIONS * highest / qmax
    errors = [
        float(((sample / s).round().clamp(0, qmax) * s - sample).square().mean()) for s in scales
    ]
    return float(scales[int(torch.tensor(errors).argmin())])


def weight_scales(weight: Tensor, qmax: int) -> Tensor:
    """One scale per output channel of an OIHW `weight`, `(O,)` of its dtype, all positive.

    `q = clamp(rint(w / scale), -qmax, qmax)`.
    """
    rows = weight.flatten(1)
    highest = rows.abs().amax(dim=1)
    highest = torch.where(highest > 0, highest, torch.full_like(highest, SCALE_OF_ZEROS * qmax))
    best, scales = torch.full_like(highest, torch.inf), highest / qmax
    for fraction in FRACTIONS.to(weight.dtype):
        tried = (fraction * highest / qmax)[:, None]
        error = ((rows / tried).round().clamp(-qmax, qmax) * tried - rows).square().sum(dim=1)
        better = error < best
        best, scales = torch.where(better, error, best), torch.where(better, tried[:, 0], scales)
    return scales
