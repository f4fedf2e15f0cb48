"""Which inputs of a convolution can go: backward elimination by exact least squares.

The optimal brain surgeon's saliency for groups (Hassibi and Stork, NIPS 1992; in this form Frantar
and Alistarh, "Optimal Brain Compression", arXiv:2208.11580): with `H` the second moments of the
inputs, removing a group `g` of weights and refitting the others costs `w_g' (H^-1_gg)^-1 w_g`.
"""

import torch
from torch import Tensor

from lprnet.gram import Gram

DAMPING = 1e-5
"""Added to the diagonal of the moments, relative to its mean."""


def keep_channels(moments: Gram, solution: Tensor, taps: int, count: int) -> list[int]:
    """The `count` input channels whose loss costs the outputs most, sorted.

    `solution (K + 1, O)` is the layer's now, `taps` the kernel's height x width; channel `c` owns
    the rows `c * taps` to `(c + 1) * taps`. One channel after the other goes, the cheapest first,
    and the rest is refitted in between.
    """
    hessian = moments.inputs.clone()
    damping = DAMPING * max(float(hessian.diagonal()[:-1].mean()), 1e-12)
    hessian += damping * torch.eye(len(hessian), dtype=hessian.dtype)
    inverse = torch.linalg.inv(hessian)
    weights = solution.clone()
    left = list(range((len(solution) - 1) // taps))
    while len(left) > count:
        rows = torch.tensor(left)[:, None] * taps + torch.arange(taps)
        blocks = inverse[rows[:, :, None], rows[:, None, :]]
        groups = weights[rows]
        costs = (groups * torch.linalg.solve(blocks, groups)).sum(dim=(1, 2))
        index = int(costs.argmin())
        gone = rows[index]
        influence = torch.linalg.solve(blocks[index], inverse[gone])
        weights -= influence.T @ weights[gone]
        inverse -= inverse[:, gone] @ influence
        left.pop(index)
    return left
