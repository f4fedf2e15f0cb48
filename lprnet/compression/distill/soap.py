"""Adam in the axes along which the gradients of a weight are independent.

Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", arXiv:2409.11321, algorithm 3. A
pruned network has no batch norm left, so what its channels learn depends on each other more than
where one trains from scratch. `docs/checkpoints.md` compares it with Adam and with Muon.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

BETAS = (0.9, 0.97)
"""How much a step keeps of the means of the gradients and of their squares."""
KEPT = 0.95
"""How much it keeps of the gradients' second moments between rows and between columns."""
TURNED_EVERY = 10
"""Steps from one correction of the axes to the next: the costliest part of a step, and the axes
move slowly."""
EPSILON = 1e-8
"""Adam's."""


class Soap(torch.optim.Optimizer):
    """Weights `(O, ...)` are taken as matrices of O rows; vectors are Adam's."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter against its gradient, by about its group's `lr` in each axis."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient.ndim > 1:
                    gradient = gradient.flatten(1)
                moved = _direction(gradient, self.state[parameter])
                parameter.sub_(group["lr"] * moved.reshape(parameter.shape))


def _direction(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """Adam's direction for this `gradient`, and `state` a step later; empty, it is begun."""
    if not state:
        _begin(gradient, state)
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - BETAS[0])
    state["square"].lerp_(_turned(gradient, state).square(), 1 - BETAS[1])
    mean = _turned(state["mean"], state) / (1 - BETAS[0] ** state["step"])
    square = state["square"] / (1 - BETAS[1] ** state["step"])
    direction: Tensor = mean / (square.sqrt() + EPSILON)
    if gradient.ndim == 1:
        return direction
    turned_back: Tensor = state["row_axes"] @ direction @ state["column_axes"].T
    state["rows"].lerp_(gradient @ gradient.T, 1 - KEPT)
    state["columns"].lerp_(gradient.T @ gradient, 1 - KEPT)
    if state["step"] % TURNED_EVERY == 1:
        _turn_axes(state)
    return turned_back


def _begin(gradient: Tensor, state: dict[str, Any]) -> None:
    state |= {
        "step": 0,
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),
    }
    if gradient.ndim > 1:
        rows, columns = gradient @ gradient.T, gradient.T @ gradient
        state |= {
            "rows": rows,
            "columns": columns,
            "row_axes": torch.linalg.eigh(rows)[1],
            "column_axes": torch.linalg.eigh(columns)[1],
        }


def _turned(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """A gradient or a mean of them, in the axes of the rows and of the columns."""
    if matrix.ndim == 1:
        return matrix
    turned: Tensor = state["row_axes"].T @ matrix @ state["column_axes"]
    return turned


def _turn_axes(state: dict[str, Any]) -> None:
    """One step of the power method towards the second moments' eigenvectors, the greatest first;
    the squares move with their axes.
    """
    for side, (moments, name) in enumerate((("rows", "row_axes"), ("columns", "column_axes"))):
        axes = state[name]
        sizes = (axes * (state[moments] @ axes)).sum(0)
        order = sizes.argsort(descending=True)
        state["square"] = state["square"].index_select(side, order)
        state[name] = torch.linalg.qr(state[moments] @ axes[:, order])[0]
