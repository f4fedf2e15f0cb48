"""Round weights one input at a time, and let the weights not yet rounded make up for the error.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
arXiv:2210.17323, section 3.3, with the normal equations of the layer's own inputs as Hessian.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lprnet.compression.least_squares import NormalEquations

DAMPING = 1e-4
"""Added to the Hessian's diagonal, relative to its mean: dead inputs make it singular."""


Rounding = Callable[[int, Tensor], Tensor]
"""A row's index and real multiples of the scales `(O,)` to integers, each row once."""


def to_nearest(qmax: int) -> Rounding:
    """To the nearest integer of `[-qmax, qmax]`."""
    return lambda _, real: real.round().clamp(-qmax, qmax)


def gptq_quantize(
    equations: NormalEquations, solution: Tensor, scales: Tensor, rounding: Rounding
) -> Tensor:
    """The `(K + 1, O)` solution in multiples of `scales` that `rounding` chooses; its last row, the
    bias, stays real and takes what error is left."""
    size = len(solution)
    hessian = equations.xtx.clone()
    damping = DAMPING * max(float(hessian.diagonal().mean()), 1e-12)
    hessian += damping * torch.eye(size, dtype=hessian.dtype)
    act_order = hessian.diagonal()[:-1].argsort(descending=True)
    order = torch.cat([act_order, torch.tensor([size - 1])])
    # With H = R R' and R upper triangular, R's inverse is the upper Cholesky factor of H's inverse.
    upper = torch.linalg.cholesky(hessian[order.flip(0)][:, order.flip(0)]).flip(0, 1)
    factor = torch.linalg.solve_triangular(upper, torch.eye(size, dtype=upper.dtype), upper=True)
    left = solution[order].clone()
    rounded = torch.empty_like(solution)
    for step, row in enumerate(order[:-1].tolist()):
        rounded[row] = rounding(row, left[step] / scales) * scales
        error = (left[step] - rounded[row]) / factor[step, step]
        left[step + 1 :] -= factor[step, step + 1 :, None] * error
    rounded[-1] = left[-1]
    return rounded
