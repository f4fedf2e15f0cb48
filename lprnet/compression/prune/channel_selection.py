"""Which channels of a convolution can go: backward elimination by exact least squares.

The optimal brain surgeon's saliency for groups (Hassibi and Stork, NIPS 1992; in this form Frantar
and Alistarh, "Optimal Brain Compression", arXiv:2208.11580): with `H = X'X` of a layer's inputs,
removing a group `g` of its weights and refitting the others costs `w_g' (H^-1_gg)^-1 w_g`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lprnet.compression.least_squares import NormalEquations, ridge

DAMPING = 1e-5
"""Added to the diagonal of `H`, relative to its mean."""
NOT_READ = -1


@dataclass(frozen=True)
class Consumer:
    """A layer that reads the channels in question, and maybe others."""

    equations: NormalEquations
    prior: Tensor
    """Its solution now, `(K + 1, O)`."""
    taps: int
    """Kernel height x width; its input channel `c` owns the rows `c * taps` to `(c + 1) * taps`."""
    columns: Tensor
    """Channel in question to this layer's input channel, or `NOT_READ`."""


def select_channels_obs(consumers: list[Consumer], count: int) -> Tensor:
    """The `count` channels whose loss costs their consumers most, sorted, int64."""
    gone = elimination_order(consumers, count)
    return torch.tensor(sorted({*range(len(consumers[0].columns))} - {*gone}))


def elimination_order(consumers: list[Consumer], count: int) -> list[int]:
    """The channels that go until `count` are left, in this order.

    One channel after the other goes, the cheapest first, and the rest is refitted in between. The
    squared error of every consumer counts relative to the power of its target outputs.
    """
    states = [_Elimination(consumer) for consumer in consumers]
    left = list(range(len(consumers[0].columns)))
    order = []
    while len(left) > count:
        costs = sum(state.costs(left) for state in states)
        assert isinstance(costs, Tensor)
        order.append(left.pop(int(costs.argmin())))
        for state in states:
            state.remove(order[-1])
    return order


class _Elimination:
    """The inverse of `H` and the refitted weights of one consumer while its inputs go."""

    def __init__(self, consumer: Consumer) -> None:
        hessian = consumer.equations.xtx.clone()
        damping = DAMPING * max(float(hessian.diagonal()[:-1].mean()), 1e-12)
        self.inverse = torch.linalg.inv(
            hessian + damping * torch.eye(len(hessian), dtype=hessian.dtype)
        )
        self.weights = ridge(consumer.equations, consumer.prior)
        self.power = max(float(consumer.equations.yty.sum()), 1e-12)
        self.columns, self.taps = consumer.columns, consumer.taps

    def _rows(self, channels: Tensor) -> Tensor:
        return self.columns[channels][:, None] * self.taps + torch.arange(self.taps)

    def costs(self, left: list[int]) -> Tensor:
        """The error that losing each of the channels `left` would add, `(len(left),)`."""
        channels = torch.tensor(left)
        read = self.columns[channels] != NOT_READ
        rows = self._rows(channels[read])
        blocks = self.inverse[rows[:, :, None], rows[:, None, :]]
        groups = self.weights[rows]
        costs = torch.zeros(len(left), dtype=torch.float64)
        costs[read] = (groups * torch.linalg.solve(blocks, groups)).sum(dim=(1, 2)) / self.power
        return costs

    def remove(self, channel: int) -> None:
        """Refit the weights of the others to the loss of `channel`."""
        if int(self.columns[channel]) == NOT_READ:
            return
        (rows,) = self._rows(torch.tensor([channel]))
        influence = torch.linalg.solve(self.inverse[rows][:, rows], self.inverse[rows])
        self.weights = self.weights - influence.T @ self.weights[rows]
        self.inverse = self.inverse - self.inverse[:, rows] @ influence
