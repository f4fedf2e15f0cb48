import numpy as np
import torch
import tvm
from tvm import relax
from tvm.relax.op import add, concat, nn, strided_slice, take

from relay_passes.order_sliced_channels import OrderSlicedChannels
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
SHAPE = (1, 2, 5, 6)
WEIGHT, NEXT, CONTAINER = (random_weight(RNG, o, i, 1, 1) for o, i in ((4, 2), (3, 2), (2, 7)))
BIAS = RNG.normal(size=4)


def network(select: Network, order: tuple[int, ...] = (0, 1, 2, 3)) -> tvm.IRModule:
    """A map read in part by one branch and in full by another, the map in the given order."""
    rows = list(order)

    def body(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(add(nn.conv2d(x, const(WEIGHT[rows])), per_channel(*BIAS[rows]))))
        branch = nn.conv2d(nn.max_pool2d(select(y), (1, 1)), const(NEXT))
        container = np.concatenate([CONTAINER[:, rows], CONTAINER[:, 4:]], axis=1)
        return nn.conv2d(concat([y, branch], 1), const(container))

    return shared_module(body, SHAPE)


def prefix(y: relax.Expr) -> relax.Expr:
    return strided_slice(y, [1], [0], [2], [1])


def picked(*indices: int) -> Network:
    return lambda y: take(y, relax.const(np.array(indices), "int64"), axis=1)


def test_a_strided_selection_becomes_a_prefix() -> None:
    before = network(lambda y: strided_slice(y, [1], [0], [2**63 - 1], [2]))
    expected = network(prefix, (0, 2, 1, 3))
    tvm.ir.assert_structural_equal(apply(OrderSlicedChannels(), before), expected)


def test_any_selection_becomes_a_prefix_in_its_order() -> None:
    before = network(picked(3, 1))
    after = apply(OrderSlicedChannels(), before)
    tvm.ir.assert_structural_equal(after, network(prefix, (3, 1, 0, 2)))
    x = torch.rand(2, *SHAPE[1:], dtype=torch.float64)
    torch.testing.assert_close(evaluate(after, x), evaluate(before, x))


def test_a_prefix_is_left_alone() -> None:
    tvm.ir.assert_structural_equal(apply(OrderSlicedChannels(), network(prefix)), network(prefix))


def test_a_channel_selected_twice_and_a_map_read_whole_are_left_alone() -> None:
    twice = network(picked(1, 1))
    tvm.ir.assert_structural_equal(apply(OrderSlicedChannels(), twice), twice)
    of_the_input = module(picked(1), SHAPE)
    tvm.ir.assert_structural_equal(apply(OrderSlicedChannels(), of_the_input), of_the_input)


def test_of_two_selections_the_second_keeps_its_meaning() -> None:
    before = network(lambda y: concat([picked(3)(y), picked(0)(y)], 1))
    after = apply(OrderSlicedChannels(), before)
    x = torch.rand(2, *SHAPE[1:], dtype=torch.float64)
    torch.testing.assert_close(evaluate(after, x), evaluate(before, x))
