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
    diagonal = equations.xtx.diagonal()[:-1]
    left = ErrorFeedback(equations, solution, scales, diagonal.argsort(descending=True))
    for step, row in enumerate(left.order[:-1].tolist()):
        left.round(step, rounding(row, left.multiples(step, step + 1)[0]))
    return left.solution()


class ErrorFeedback:
    """The rows of a solution `(K + 1, O)` that become multiples of `scales` `(O,)` one after
    another, in `order`; the last, the bias, stays real. Rows that are left make up for the errors.

    `factor` `(K + 1, K + 1)`, upper triangular, says what they cannot make up for: a row's own
    error, divided by its diagonal element.
    """

    def __init__(
        self, equations: NormalEquations, solution: Tensor, scales: Tensor, order: Tensor
    ) -> None:
        """`order` are the numbers of all rows but the bias."""
        size = len(solution)
        hessian = equations.xtx.clone()
        damping = DAMPING * max(float(hessian.diagonal().mean()), 1e-12)
        hessian += damping * torch.eye(size, dtype=hessian.dtype)
        self.order = torch.cat([order, torch.tensor([size - 1])])
        # With H = R R' and R upper triangular, R's inverse is the upper Cholesky factor of H's
        # inverse.
        reverse = self.order.flip(0)
        upper = torch.linalg.cholesky(hessian[reverse][:, reverse]).flip(0, 1)
        identity = torch.eye(size, dtype=upper.dtype)
        self.factor = torch.linalg.solve_triangular(upper, identity, upper=True)
        self.scales = scales
        self._rows = solution[self.order].clone()

    def multiples(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of the order, what is left of them, in multiples of the scales."""
        return self._rows[start:stop] / self.scales

    def round(self, step: int, integers: Tensor) -> None:
        """Row `step` of the order becomes `integers` `(O,)` times the scales."""
        rounded = integers * self.scales
        error = (self._rows[step] - rounded) / self.factor[step, step]
        self._rows[step] = rounded
        self._rows[step + 1 :] -= self.factor[step, step + 1 :, None] * error

    def solution(self) -> Tensor:
        """`(K + 1, O)`, in the solution's own order."""
        found = torch.empty_like(self._rows)
        found[self.order] = self._rows
        return found
