"""Vectors are Adam's; matrices learn the same in turned axes, and sooner where axes depend."""

import torch
from torch import Tensor

from lprnet.compression.distill.soap import BETAS, EPSILON, Soap


def randoms(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def after(steps: int, start: Tensor, gradients: list[Tensor], rate: float = 0.1) -> Tensor:
    """A parameter after it was given these gradients."""
    parameter = start.clone().requires_grad_()
    optimizer = Soap([{"params": [parameter], "lr": rate}])
    for gradient in gradients[:steps]:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_a_vector_is_adams() -> None:
    start, gradients = randoms(7, seed=0), [randoms(7, seed=one) for one in range(1, 30)]
    expected = start.clone().requires_grad_()
    adam = torch.optim.Adam([expected], lr=0.1, betas=BETAS, eps=EPSILON)
    for gradient in gradients:
        expected.grad = gradient.clone()
        adam.step()
    torch.testing.assert_close(after(30, start, gradients), expected.detach())


def test_turned_gradients_turn_what_is_learned() -> None:
    """By any rotation of rows and columns, which Adam does not know. Square, as the axes that a
    first gradient says nothing of are any.
    """
    start, gradients = randoms(5, 5, seed=0), [randoms(5, 5, seed=one) for one in range(1, 40)]
    rows, columns = (torch.linalg.qr(randoms(5, 5, seed=seed))[0] for seed in (50, 51))
    expected = rows @ after(40, start, gradients) @ columns
    turned = after(40, rows @ start @ columns, [rows @ one @ columns for one in gradients])
    torch.testing.assert_close(turned, expected)


def test_a_convolution_is_a_matrix_of_its_outputs() -> None:
    start, gradients = randoms(3, 2, 1, 5, seed=0), [randoms(3, 2, 1, 5, seed=1)] * 12
    flat = after(12, start.flatten(1), [one.flatten(1) for one in gradients])
    torch.testing.assert_close(after(12, start, gradients), flat.reshape(start.shape))


def test_it_learns_sooner_than_adam_where_inputs_depend_on_each_other() -> None:
    """A linear layer whose inputs have a condition of 1,000."""
    inputs = randoms(64, 8, seed=0) @ torch.diag(torch.logspace(0, -1.5, 8).double())
    inputs = inputs @ torch.linalg.qr(randoms(8, 8, seed=1))[0]
    wanted = inputs @ randoms(8, 5, seed=2)

    def loss_by(kind: type[torch.optim.Optimizer]) -> float:
        weight = torch.zeros(5, 8, dtype=torch.float64, requires_grad=True)
        optimizer = kind([{"params": [weight], "lr": 0.03}])  # type: ignore[call-arg]
        for _ in range(300):
            loss = (inputs @ weight.T - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert loss_by(Soap) < 0.3 * loss_by(torch.optim.Adam)


def test_no_gradient_moves_nothing() -> None:
    start = randoms(3, 4, seed=0)
    torch.testing.assert_close(after(5, start, [torch.zeros(3, 4).double()] * 5), start)
