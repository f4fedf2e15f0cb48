import numpy as np
import pytest
import torch
import tvm
from tvm import relax
from tvm.relax.op import concat, divide, mean, nn, square

from relay_passes.fold_context_norm import FoldContextNorm
from tests.relax_networks import apply, const, module, random_weight
from tests.relax_reference import evaluate

SHAPE = (1, 2, 4, 6)
WEIGHT = np.arange(12, dtype="float32").reshape(2, 6, 1, 1)


def container(*divisors: relax.Expr | None) -> tvm.IRModule:
    def network(x: relax.Expr) -> relax.Expr:
        branches = [nn.relu(x) if d is None else divide(nn.relu(x), d) for d in divisors]
        return nn.conv2d(concat(branches, 1), const(WEIGHT))

    return module(network, SHAPE)


def test_constants_scale_their_branchs_weights() -> None:
    before = container(const(2.0), None, const(0.25))
    scale = np.array([0.5, 0.5, 1, 1, 4, 4], "float32").reshape(1, 6, 1, 1)
    expected = module(
        lambda x: nn.conv2d(concat([nn.relu(x)] * 3, 1), const(WEIGHT * scale)), SHAPE
    )
    folded = apply(FoldContextNorm(), before)
    unshared = module(
        lambda x: nn.conv2d(concat([nn.relu(x), nn.relu(x), nn.relu(x)], 1), const(WEIGHT * scale)),
        SHAPE,
    )
    tvm.ir.assert_structural_equal(folded, unshared)
    x = torch.rand(2, *SHAPE[1:])
    torch.testing.assert_close(evaluate(folded, x), evaluate(expected, x))


@pytest.mark.parametrize("divisor", [0.0, float("inf"), float("nan")])
def test_a_constant_that_cannot_be_folded_is_left_alone(divisor: float) -> None:
    before = container(const(divisor), None, None)
    folded = apply(FoldContextNorm(), before)
    tvm.ir.assert_structural_equal(folded, before)


def test_the_images_own_mean_square_is_left_alone_exactly() -> None:
    def network(x: relax.Expr) -> relax.Expr:
        power = mean(square(x), [1, 2, 3], keepdims=True)
        return nn.conv2d(concat([divide(x, power), divide(x, const(2.0))], 1), const(WEIGHT))

    def expected(x: relax.Expr) -> relax.Expr:
        power = mean(square(x), [1, 2, 3], keepdims=True)
        scaled = WEIGHT * np.array([1, 1, 1, 0.5, 0.5, 0.5], "float32").reshape(1, 6, 1, 1)
        return nn.conv2d(concat([divide(x, power), x], 1), const(scaled))

    shape = (1, 3, 4, 6)
    tvm.ir.assert_structural_equal(
        apply(FoldContextNorm(), module(network, shape)), module(expected, shape)
    )


def test_folded_equals_dividing() -> None:
    rng = np.random.default_rng(0)
    divisors = rng.uniform(1e-4, 10, 3)
    weight = random_weight(rng, 4, 6, 1, 1)

    def network(x: relax.Expr) -> relax.Expr:
        branches = [divide(x, const(d)) for d in divisors]
        return nn.conv2d(concat(branches, 1), const(weight))

    x = torch.rand(2, *SHAPE[1:], dtype=torch.float64)
    branches = [x / float(np.float32(d)) for d in divisors]
    expected = torch.nn.functional.conv2d(torch.cat(branches, 1), torch.from_numpy(weight).double())
    got = evaluate(apply(FoldContextNorm(), module(network, SHAPE)), x)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-5)
