import numpy as np
import pytest
import torch
import tvm
from tvm import relax
from tvm.relax.op import add, concat, divide, mean, multiply, nn, repeat, square, strided_slice

from relay_passes.drop_dead_channels import DropDeadChannels
from tests.relax_networks import (
    Emit,
    Network,
    apply,
    const,
    module,
    per_channel,
    random_weight,
    shared_module,
)
from tests.relax_reference import evaluate

RNG = np.random.default_rng(0)
SHAPE = (1, 2, 6, 8)
FIRST = random_weight(RNG, 4, 2, 1, 1)
NEXT = random_weight(RNG, 3, 4, 3, 3)
BIAS = (0.5, -0.25, 0.125, 0.75)


def two_layers(
    first: np.ndarray,
    bias: tuple[float, ...],
    second: np.ndarray = NEXT,
    second_bias: tuple[float, ...] = (1, 2, 3),
    padding: int = 0,
    between: Network = nn.relu,
) -> tvm.IRModule:
    """conv2d, bias, `between`, conv2d, bias."""

    def network(x: relax.Expr) -> relax.Expr:
        y = between(add(nn.conv2d(x, const(first)), per_channel(*bias)))
        return add(nn.conv2d(y, const(second), padding=padding), per_channel(*second_bias))

    return module(network, SHAPE)


def without(weight: np.ndarray, *rows: int) -> np.ndarray:
    weight = weight.copy()
    weight[list(rows)] = 0
    return weight


def conv_widths(graph: tvm.IRModule) -> list[tuple[int, int]]:
    """(outputs, inputs) of every convolution in order."""
    return [
        (int(b.value.args[1].ty.shape[0]), int(b.value.args[1].ty.shape[1]))
        for b in graph["main"].body.blocks[0].bindings
        if getattr(getattr(b.value, "op", None), "name", "") == "relax.nn.conv2d"
    ]


def assert_same_function(after: tvm.IRModule, before: tvm.IRModule) -> None:
    x = torch.rand(3, *SHAPE[1:], dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(evaluate(after, x), evaluate(before, x), rtol=1e-6, atol=1e-6)


def test_a_constant_channel_becomes_part_of_the_next_bias() -> None:
    second = NEXT.copy()
    second[:, 2] = 0.25
    before = two_layers(without(FIRST, 2), BIAS, second)
    shift = 9 * 0.25 * 0.125
    expected = two_layers(
        np.delete(FIRST, 2, axis=0),
        (0.5, -0.25, 0.75),
        np.delete(second, 2, axis=1),
        (1 + shift, 2 + shift, 3 + shift),
    )
    after = apply(DropDeadChannels(), before)
    tvm.ir.assert_structural_equal(after, expected)
    assert_same_function(after, before)


def test_a_channel_that_is_never_on_leaves_no_trace() -> None:
    bias = (0.5, -float(np.abs(FIRST[1]).sum()) - 1e-3, 0.125, 0.75)
    after = apply(DropDeadChannels(), two_layers(FIRST, bias))
    expected = two_layers(
        np.delete(FIRST, 1, axis=0), (0.5, 0.125, 0.75), np.delete(NEXT, 1, axis=1)
    )
    tvm.ir.assert_structural_equal(after, expected)


def test_a_channel_that_an_input_could_turn_on_is_left_alone() -> None:
    bias = (0.5, -float(np.abs(FIRST[1]).sum()) + 1e-3, 0.125, 0.75)
    before = two_layers(FIRST, bias)
    tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), before)


def test_a_constant_that_meets_zero_padding_is_left_alone() -> None:
    before = two_layers(without(FIRST, 2), BIAS, padding=1)
    tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), before)


def test_a_zero_that_meets_zero_padding_is_dropped() -> None:
    bias = (0.5, -0.25, -0.125, 0.75)
    before = two_layers(without(FIRST, 2), bias, padding=1)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(3, 2), (3, 3)]
    assert_same_function(after, before)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_channel_that_is_not_read_is_dropped(padding: int) -> None:
    second = NEXT.copy()
    second[:, 3] = 0
    before = two_layers(FIRST, BIAS, second, padding=padding)
    expected = two_layers(
        np.delete(FIRST, 3, axis=0), BIAS[:3], np.delete(second, 3, axis=1), padding=padding
    )
    tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), expected)


def test_with_no_dead_channel_nothing_changes() -> None:
    before = two_layers(FIRST, BIAS)
    tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), before)


@pytest.mark.parametrize("alive", [[], [2]])
@pytest.mark.parametrize("padding", [0, 1])
def test_one_channel_stays_when_one_or_none_is_alive(alive: list[int], padding: int) -> None:
    dead = [row for row in range(4) if row not in alive]
    before = two_layers(without(FIRST, *dead), (-1, -1, 0.5, -1), padding=padding)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(1, 2), (3, 1)]
    assert_same_function(after, before)


def test_what_counts_is_the_effect_not_the_size() -> None:
    tiny = FIRST.copy()
    tiny[2] *= 1e-20
    bias = (0.5, -0.25, 0.0, 0.75)
    assert conv_widths(apply(DropDeadChannels(), two_layers(tiny, bias)))[0] == (3, 2)
    amplified = NEXT.copy()
    amplified[:, 2] *= 1e20
    before = two_layers(tiny, bias, amplified)
    tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), before)


def test_constants_cross_pools_and_selections() -> None:
    def between(y: relax.Expr) -> relax.Expr:
        every_second = strided_slice(nn.relu(y), [1], [0], [2**63 - 1], [2])
        pooled = nn.max_pool2d(repeat(every_second, 2, 2), (3, 3))
        return nn.avg_pool2d(pooled, (2, 2), count_include_pad=True)

    before = two_layers(without(FIRST, 2), BIAS, NEXT[:, :2, :1, :1], between=between)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(1, 2), (3, 1)]
    assert_same_function(after, before)


def test_a_selection_keeps_one_channel_even_of_dead_ones() -> None:
    """Channels 0 and 2 are constant, and so is the branch that reads only them."""

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        bias = per_channel(*BIAS)
        y = emit(nn.relu(add(nn.conv2d(x, const(without(FIRST, 0, 2))), bias)))
        even = strided_slice(y, [1], [0], [2**63 - 1], [2])
        branch = nn.conv2d(even, const(NEXT[:, :2, :1, :1]))
        return nn.conv2d(concat([y, branch], 1), const(random_weight(RNG, 2, 7, 1, 1)))

    before = shared_module(network, SHAPE)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(3, 2), (1, 1), (2, 4)]
    assert_same_function(after, before)


def test_a_channel_stays_while_any_consumer_needs_it() -> None:
    """The wide branch ignores channels 0 and 1, the padded one channels 1 and 2."""
    wide, padded = NEXT.copy(), NEXT.copy()
    wide[:, [0, 1]] = 0
    padded[:, [1, 2]] = 0

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(add(nn.conv2d(x, const(FIRST)), per_channel(*BIAS))))
        branches = [
            nn.conv2d(y, const(wide), padding=1),
            nn.conv2d(y, const(padded), padding=1),
        ]
        return concat(branches, 1)

    before = shared_module(network, SHAPE)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(3, 2), (3, 3), (3, 3)]
    assert_same_function(after, before)


def test_liveness_goes_back_through_several_layers() -> None:
    """Output 2 of the middle layer is off, so what only it reads is not computed either."""
    middle = random_weight(RNG, 4, 4, 1, 1)
    middle[[0, 1, 3], 1] = 0

    def network(x: relax.Expr) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, const(FIRST)), per_channel(*BIAS)))
        z = nn.relu(add(nn.conv2d(y, const(middle)), per_channel(0, 0, -100, 0)))
        return nn.conv2d(z, const(NEXT))

    before = module(network, SHAPE)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(3, 2), (3, 3), (3, 3)]
    assert_same_function(after, before)


def test_what_is_read_through_a_selection_alone_is_read() -> None:
    """No gather selects channels 1 and 3 of the middle layer; all of the first layer is needed."""

    def network(x: relax.Expr) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, const(FIRST)), per_channel(*BIAS)))
        z = nn.relu(nn.conv2d(y, const(random_weight(np.random.default_rng(1), 4, 4, 1, 1))))
        return nn.conv2d(strided_slice(z, [1], [0], [4], [2]), const(NEXT[:, :2]))

    before = module(network, SHAPE)
    after = apply(DropDeadChannels(), before)
    assert conv_widths(after) == [(4, 2), (2, 4), (3, 2)]
    assert_same_function(after, before)


def test_channels_read_whole_are_left_alone() -> None:
    result = module(
        lambda x: nn.relu(add(nn.conv2d(x, const(without(FIRST, 2))), per_channel(*BIAS))), SHAPE
    )
    softmax = two_layers(without(FIRST, 2), BIAS, between=lambda y: nn.softmax(y, axis=1))
    for before in (result, softmax):
        tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), before)


def per_image(bias: tuple[float, ...], dropped: tuple[int, ...] = ()) -> tvm.IRModule:
    """relu(conv2d) over its mean square, read by a convolution; written without `dropped`."""
    kept = [row for row in range(4) if row not in dropped]

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        y = add(nn.conv2d(x, const(without(FIRST, 2)[kept])), per_channel(*(bias[k] for k in kept)))
        y = emit(nn.relu(y))
        power = mean(square(y), [1, 2, 3], keepdims=True)
        if dropped:
            power = multiply(power, const([len(kept) / 4]))
        power = emit(power)
        return nn.conv2d(divide(y, power), const(NEXT[:, kept]))

    return shared_module(network, SHAPE)


def test_a_zero_still_counts_in_the_mean_over_channels() -> None:
    bias = (0.5, -0.25, -0.125, 0.75)
    before, after = per_image(bias), apply(DropDeadChannels(), per_image(bias))
    tvm.ir.assert_structural_equal(after, per_image(bias, dropped=(2,)))
    assert_same_function(after, before)


def test_another_constant_in_a_mean_over_channels_is_left_alone() -> None:
    before = per_image(BIAS)
    tvm.ir.assert_structural_equal(apply(DropDeadChannels(), before), before)
