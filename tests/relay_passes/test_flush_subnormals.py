import numpy as np
import torch
import tvm
from tvm import relax
from tvm.relax.op import add, nn, take

from relay_passes.flush_subnormals import MIN_NORMAL, FlushSubnormals
from tests.relax_networks import apply, const, module, per_channel
from tests.relax_reference import evaluate

SHAPE = (1, 1, 2, 2)


def network(weights: list[float], bias: float) -> tvm.IRModule:
    weight = const(np.reshape(np.array(weights, "float32"), (2, 1, 1, 1)))
    return module(lambda x: add(nn.conv2d(x, weight), per_channel(bias, 1)), SHAPE)


def test_only_subnormals_become_zero() -> None:
    below = float(np.nextafter(np.float32(MIN_NORMAL), np.float32(0)))
    before = network([below, -MIN_NORMAL], -1e-45)
    expected = network([0.0, -MIN_NORMAL], 0.0)
    tvm.ir.assert_structural_equal(apply(FlushSubnormals(), before), expected)


def test_normal_constants_and_integer_indices_are_left_alone() -> None:
    indices = relax.const(np.array([1, 0]), "int64")
    before = module(lambda x: take(add(x, per_channel(1, 0)), indices, axis=1), (1, 2, 2, 2))
    after = apply(FlushSubnormals(), before)
    tvm.ir.assert_structural_equal(after, before)
    values = [
        block.bindings[0].value
        for block in (after["main"].body.blocks[0], before["main"].body.blocks[0])
    ]
    assert values[0].same_as(values[1])


def test_the_result_moves_by_less_than_the_smallest_normal() -> None:
    before = network([3e-39, 0.5], 1e-40)
    x = torch.rand(2, *SHAPE[1:], dtype=torch.float64)
    difference = evaluate(apply(FlushSubnormals(), before), x) - evaluate(before, x)
    assert 0 < float(difference.abs().max()) < 2 * MIN_NORMAL
