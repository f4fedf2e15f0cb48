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
LAZY = 16
"""Removals between two updates of an inverse."""


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
    """The inverse of `H` and the refitted weights of one consumer while its inputs go.

    Of both only the rows of the channels in question are kept: no cost depends on the others. The
    inverse is updated for `LAZY` removals at once, by one matrix product, and loses their rows; in
    between, the columns that a removal needs are computed from it (lazy batch updates; Frantar et
    al., "GPTQ", arXiv:2210.17323, section 3.3).
    """

    def __init__(self, consumer: Consumer) -> None:
        hessian = consumer.equations.xtx
        damping = DAMPING * max(float(hessian.diagonal()[:-1].mean()), 1e-12)
        factor = torch.linalg.cholesky(hessian + damping * torch.eye(len(hessian)).double())
        self.taps = consumer.taps
        self.power = max(float(consumer.equations.yty.sum()), 1e-12)
        read = consumer.columns != NOT_READ
        self.place = torch.where(read, read.cumsum(0) - 1, NOT_READ)
        rows = consumer.columns[read][:, None] * self.taps + torch.arange(self.taps)
        self.inverse = torch.cholesky_inverse(factor)[rows.flatten()][:, rows.flatten()]
        self.weights = ridge(consumer.equations, consumer.prior)[rows]
        blocks = self._rows(torch.arange(len(rows)))
        self.blocks = self.inverse[blocks[:, :, None], blocks[:, None, :]]
        self.columns = self.inverse[:, :0]
        self.influence = self.inverse[:0]
        self.gone: list[int] = []

    def _rows(self, places: Tensor) -> Tensor:
        return places[:, None] * self.taps + torch.arange(self.taps)

    def costs(self, left: list[int]) -> Tensor:
        """The error that losing each of the channels `left` would add, `(len(left),)`."""
        places = self.place[torch.tensor(left)]
        read = places != NOT_READ
        groups = self.weights[places[read]]
        costs = torch.zeros(len(left), dtype=torch.float64)
        solved = torch.linalg.solve(self.blocks[places[read]], groups)
        costs[read] = (groups * solved).sum(dim=(1, 2)) / self.power
        return costs

    def remove(self, channel: int) -> None:
        """Refit the weights of the others to the loss of `channel`."""
        place = int(self.place[channel])
        if place == NOT_READ:
            return
        (rows,) = self._rows(torch.tensor([place]))
        columns = self.inverse[:, rows] - self.columns @ self.influence[:, rows]
        influence = torch.linalg.solve(columns[rows], columns.T)
        lost = influence.T @ self.weights[place]
        self.weights = self.weights - lost.reshape(self.weights.shape)
        self.blocks = self.blocks - torch.bmm(
            columns.reshape(-1, self.taps, self.taps),
            influence.T.reshape(-1, self.taps, self.taps).transpose(1, 2),
        )
        self.columns = torch.cat([self.columns, columns], dim=1)
        self.influence = torch.cat([self.influence, influence])
        self.gone.append(place)
        if len(self.gone) == LAZY:
            self._update()

    def _update(self) -> None:
        """Bring the inverse up to date, without the rows of the channels that have gone."""
        kept = torch.ones(len(self.weights), dtype=torch.bool)
        kept[self.gone] = False
        (places,) = kept.nonzero(as_tuple=True)
        rows = self._rows(places).flatten()
        self.inverse = self.inverse[rows][:, rows].addmm_(
            self.columns[rows], self.influence[:, rows], alpha=-1
        )
        self.weights, self.blocks = self.weights[places], self.blocks[places]
        self.columns, self.influence = self.inverse[:, :0], self.inverse[:0]
        read = self.place != NOT_READ
        renumbered = torch.where(kept, kept.cumsum(0) - 1, NOT_READ)
        self.place[read] = renumbered[self.place[read]]
        self.gone = []
