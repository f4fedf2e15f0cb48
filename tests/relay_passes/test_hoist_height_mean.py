import numpy as np
import torch
import tvm
from tvm import relax
from tvm.relax.op import add, concat, divide, mean, nn, square, squeeze

from relay_passes.hoist_height_mean import HoistHeightMean
from tests.relax_networks import (
    Emit,
    apply,
    const,
    module,
    per_channel,
    random_weight,
    shared_module,
)
from tests.relax_reference import evaluate

SHAPE = (1, 2, 4, 6)
WEIGHT = random_weight(np.random.default_rng(0), 3, 4, 1, 1)
BIAS = per_channel(1, 2, 3)


def height_mean(x: relax.Expr) -> relax.Expr:
    return nn.avg_pool2d(x, (4, 1), (4, 1), count_include_pad=True)


def container(x: relax.Expr, keepdims: bool = False) -> relax.Expr:
    joined = concat([nn.relu(x), x], 1)
    return mean(add(nn.conv2d(joined, const(WEIGHT)), BIAS), [2], keepdims=keepdims)


def hoisted(x: relax.Expr) -> relax.Expr:
    joined = concat([height_mean(nn.relu(x)), height_mean(x)], 1)
    return add(nn.conv2d(joined, const(WEIGHT)), BIAS)


def test_the_mean_moves_before_the_convolution_and_its_branches() -> None:
    tvm.ir.assert_structural_equal(
        apply(HoistHeightMean(), module(container, SHAPE)),
        module(lambda x: squeeze(hoisted(x), [2]), SHAPE),
    )


def test_a_mean_that_keeps_its_axis_needs_no_squeeze() -> None:
    before = module(lambda x: container(x, keepdims=True), SHAPE)
    tvm.ir.assert_structural_equal(apply(HoistHeightMean(), before), module(hoisted, SHAPE))


def test_it_moves_through_a_per_image_division_but_not_into_its_mean() -> None:
    def before(x: relax.Expr) -> relax.Expr:
        power = mean(square(x), [1, 2, 3], keepdims=True)
        joined = concat([divide(x, power), x], 1)
        return mean(add(nn.conv2d(joined, const(WEIGHT)), BIAS), [2], keepdims=False)

    def expected(x: relax.Var, emit: Emit) -> relax.Expr:
        power = emit(mean(square(x), [1, 2, 3], keepdims=True))
        joined = concat([divide(height_mean(x), power), height_mean(x)], 1)
        return squeeze(add(nn.conv2d(joined, const(WEIGHT)), BIAS), [2])

    after = apply(HoistHeightMean(), module(before, SHAPE))
    tvm.ir.assert_structural_equal(after, shared_module(expected, SHAPE))
    x = torch.rand(3, *SHAPE[1:], dtype=torch.float64)
    torch.testing.assert_close(evaluate(after, x), evaluate(module(before, SHAPE), x))


def test_a_wider_convolution_and_another_axis_are_left_alone() -> None:
    wide, tall = (random_weight(np.random.default_rng(0), 3, 2, n, 3) for n in (3, 2))
    for before in (
        module(lambda x: mean(add(nn.conv2d(x, const(tall)), BIAS), [2], keepdims=False), SHAPE),
        module(
            lambda x: mean(add(nn.conv2d(x, const(wide), padding=1), BIAS), [2], keepdims=False),
            SHAPE,
        ),
        module(
            lambda x: mean(
                add(nn.conv2d(concat([x, x], 1), const(WEIGHT)), BIAS), [3], keepdims=False
            ),
            SHAPE,
        ),
    ):
        tvm.ir.assert_structural_equal(apply(HoistHeightMean(), before), before)


def test_hoisted_equals_torch() -> None:
    x = torch.rand(3, *SHAPE[1:], dtype=torch.float64) - 0.5
    convolution = torch.nn.functional.conv2d(
        torch.cat([x.relu(), x], 1),
        torch.from_numpy(WEIGHT).double(),
        torch.tensor([1.0, 2, 3]).double(),
    )
    got = evaluate(apply(HoistHeightMean(), module(container, SHAPE)), x)
    torch.testing.assert_close(got, convolution.mean(2))
