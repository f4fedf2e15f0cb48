"""The normal equations of a convolution: what refitting, pruning and rounding minimise over.

With `X` the matrix of input patches (one row per output position, a last column of ones for the
bias) and `Y` the target outputs before ReLU, a layer's squared error is a quadratic in its weights
whose coefficients are `X'X` and `X'Y`; both fit in a few hundred kilobytes however many images.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.model.architecture import Pair


@dataclass(frozen=True)
class NormalEquations:
    """Means over positions, float64: `xtx (K + 1, K + 1)`, `xty (K + 1, O)`, `yty (O,)`.

    `K` is input channels x kernel height x kernel width, in OIHW order.
    """

    xtx: Tensor
    xty: Tensor
    yty: Tensor
    """Mean square of each target output."""

    def error(self, solution: Tensor) -> Tensor:
        """Mean squared error of each output, `(O,)`, for a `solution (K + 1, O)`."""
        cross = (solution * self.xty).sum(dim=0)
        return self.yty - 2 * cross + (solution * (self.xtx @ solution)).sum(dim=0)


@torch.no_grad()
def normal_equations(
    x: Tensor, y: Tensor, kernel: Pair = (1, 1), padding: Pair = (0, 0), row_stride: int = 1
) -> NormalEquations:
    """Those of the convolution with `kernel`, `padding` and `row_stride` between `x` and `y`.

    `x (N, I, H, W)` is what it reads now, `y (N, O, H', W')` its target outputs before ReLU.
    """
    inner = x.shape[1] * kernel[0] * kernel[1] + 1
    xtx = torch.zeros(inner, inner, dtype=torch.float64)
    xty = torch.zeros(inner, y.shape[1], dtype=torch.float64)
    yty = torch.zeros(y.shape[1], dtype=torch.float64)
    for some, target in zip(torch.split(x, 10), torch.split(y, 10), strict=True):
        rows = _rows(some, kernel, padding, row_stride)
        outputs = target.transpose(0, 1).flatten(1).double()
        xtx += rows @ rows.T
        xty += rows @ outputs.T
        yty += outputs.square().sum(dim=1)
    count = y.shape[0] * y.shape[2] * y.shape[3]
    return NormalEquations(xtx / count, xty / count, yty / count)


def _rows(x: Tensor, kernel: Pair, padding: Pair, row_stride: int) -> Tensor:
    """The transpose of `X`, `(K + 1, N * H' * W')` float64, for `x (N, I, H, W)`."""
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).transpose(0, 1)
    last_row, width = (size - taps + 1 for size, taps in zip(padded.shape[2:], kernel, strict=True))
    height = (last_row - 1) // row_stride + 1
    channels, images = padded.shape[:2]
    rows = torch.ones(
        channels * kernel[0] * kernel[1] + 1, images * height * width, dtype=torch.float64
    )
    patches = rows[:-1].view(channels, *kernel, images, height, width)
    for down in range(kernel[0]):
        for right in range(kernel[1]):
            seen = padded[..., down : down + last_row : row_stride, right : right + width]
            patches[:, down, right] = seen
    return rows


def ridge(equations: NormalEquations, prior: Tensor, strength: float = 1e-4) -> Tensor:
    """The least-squares solution `(K + 1, O)`, drawn to `prior` where the inputs say little.

    The penalty on each weight is `strength` times the mean square of the inputs, so a weight whose
    input never moves keeps its prior. Singular equations (constant or dead inputs) are no special
    case.
    """
    penalty = strength * max(float(equations.xtx.diagonal()[:-1].mean()), 1e-12)
    damping = torch.full((len(prior),), penalty, dtype=torch.float64)
    damping[-1] = penalty * 1e-3  # the bias is free to move
    left = equations.xtx + damping.diag()
    solution: Tensor = torch.linalg.solve(left, equations.xty + damping[:, None] * prior)
    return solution


def as_solution(weight: Tensor, bias: Tensor) -> Tensor:
    """OIHW weight and `(O,)` bias as one `(K + 1, O)` float64 matrix."""
    return torch.cat([weight.flatten(1), bias[:, None]], dim=1).double().T


def as_weight(solution: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """A `(K + 1, O)` solution as float32 OIHW weight of `shape` and `(O,)` bias."""
    return solution[:-1].T.reshape(shape).float(), solution[-1].float()
