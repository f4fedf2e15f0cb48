"""Second moments of a convolution's inputs: what refitting, pruning and rounding minimise over.

With `X` the matrix of input patches (one row per output position, a last column of ones for the
bias) and `Y` the outputs wanted before ReLU, a layer's squared error is a quadratic in its weights
whose coefficients are `X'X` and `X'Y`; both fit in a few hundred kilobytes however many images.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.compression.compact import padding


@dataclass(frozen=True)
class Gram:
    """Means over positions, float64: `inputs (K + 1, K + 1)`, `targets (K + 1, O)`, `power (O,)`.

    `K` is input channels x kernel height x kernel width, in OIHW order.
    """

    inputs: Tensor
    targets: Tensor
    power: Tensor
    """Mean square of the wanted outputs."""

    def error(self, solution: Tensor) -> Tensor:
        """Mean squared error of each output, `(O,)`, for a `solution (K + 1, O)`."""
        cross = (solution * self.targets).sum(dim=0)
        return self.power - 2 * cross + (solution * (self.inputs @ solution)).sum(dim=0)


@torch.no_grad()
def gram(weight: Tensor, x: Tensor, y: Tensor) -> Gram:
    """The moments of the convolution shaped like `weight` (OIHW) between `x` and `y`.

    `x (N, I, H, W)` is what it reads now, `y (N, O, H', W')` what it should put out before ReLU.
    """
    inner = weight[0].numel() + 1
    inputs = torch.zeros(inner, inner, dtype=torch.float64)
    targets = torch.zeros(inner, y.shape[1], dtype=torch.float64)
    power = torch.zeros(y.shape[1], dtype=torch.float64)
    for some, wanted in zip(torch.split(x, 10), torch.split(y, 10), strict=True):
        patches = F.unfold(some.float(), weight.shape[2:], padding=padding(weight)).transpose(0, 1)
        rows = torch.cat([patches.flatten(1), torch.ones(1, patches[0].numel())]).double()
        outputs = wanted.transpose(0, 1).flatten(1).double()
        inputs += rows @ rows.T
        targets += rows @ outputs.T
        power += outputs.square().sum(dim=1)
    count = y.shape[0] * y.shape[2] * y.shape[3]
    return Gram(inputs / count, targets / count, power / count)


def ridge(moments: Gram, prior: Tensor, strength: float = 1e-4) -> Tensor:
    """The least-squares solution `(K + 1, O)`, drawn to `prior` where the inputs say little.

    The penalty on each weight is `strength` times the mean power of the inputs, so a weight whose
    input never moves keeps its prior. Singular moments (constant or dead inputs) are no special
    case.
    """
    penalty = strength * max(float(moments.inputs.diagonal()[:-1].mean()), 1e-12)
    damping = torch.full((len(prior),), penalty, dtype=torch.float64)
    damping[-1] = penalty * 1e-3  # the bias is free to move
    left = moments.inputs + damping.diag()
    solution: Tensor = torch.linalg.solve(left, moments.targets + damping[:, None] * prior)
    return solution


def as_solution(weight: Tensor, bias: Tensor) -> Tensor:
    """OIHW weight and `(O,)` bias as one `(K + 1, O)` float64 matrix."""
    return torch.cat([weight.flatten(1), bias[:, None]], dim=1).double().T
