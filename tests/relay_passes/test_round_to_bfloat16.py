import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax.op import add, astype, concat, nn, repeat, strided_slice

from relay_passes.round_to_bfloat16 import RoundToBfloat16
from tests.relax_networks import Emit, apply, const, shared_module

SHAPE = (1, 3, 8, 10)
FIRST = np.random.default_rng(0).integers(-8, 8, (4, 3, 3, 3)) / 64
SECOND = np.random.default_rng(1).integers(-8, 8, (2, 2, 1, 3)) / 64
CLASSES = np.ones((4, 6, 1, 1)) / 3
BIAS = np.arange(4).reshape(1, 4, 1, 1) / 3


def bfloat16(values: np.ndarray) -> relax.Expr:
    return relax.const(values.astype("float32"), "bfloat16")


def rounded(x: relax.Expr) -> relax.Expr:
    return astype(x, "bfloat16")


def pooled_rows(x: relax.Expr) -> relax.Expr:
    """Of two channels, each row twice."""
    some = strided_slice(x, [1], [0], [2], [1])
    return nn.max_pool2d(repeat(some, 2, 2), (3, 3), (1, 2))


def test_layers_and_what_is_between_them_are_rounded() -> None:
    """Max pools and slices choose among bfloat16, average pools and the last layer read float32."""

    def before(x: relax.Var, emit: Emit) -> relax.Expr:
        first = emit(nn.relu(add(nn.conv2d(x, const(FIRST)), const(BIAS))))
        pooled = nn.max_pool2d(
            repeat(strided_slice(first, [1], [0], [2], [1]), 2, 2), (3, 3), (1, 2)
        )
        second = emit(nn.relu(add(nn.conv2d(pooled, const(SECOND)), const(BIAS[:, :2]))))
        means = concat(
            [emit(nn.avg_pool2d(first, (6, 8))), emit(nn.avg_pool2d(second, (10, 1)))], 1
        )
        return add(nn.conv2d(means, const(CLASSES)), const(BIAS))

    def after(x: relax.Var, emit: Emit) -> relax.Expr:
        sums = nn.conv2d(rounded(x), bfloat16(FIRST), out_dtype="float32")
        first = emit(rounded(nn.relu(add(sums, const(BIAS)))))
        pooled = nn.max_pool2d(
            repeat(strided_slice(first, [1], [0], [2], [1]), 2, 2), (3, 3), (1, 2)
        )
        sums = nn.conv2d(pooled, bfloat16(SECOND), out_dtype="float32")
        second = emit(rounded(nn.relu(add(sums, const(BIAS[:, :2])))))
        means = concat(
            [
                emit(nn.avg_pool2d(astype(first, "float32"), (6, 8))),
                emit(nn.avg_pool2d(astype(second, "float32"), (10, 1))),
            ],
            1,
        )
        return add(nn.conv2d(means, const(CLASSES)), const(BIAS))

    got = apply(RoundToBfloat16(), shared_module(before, SHAPE))
    tvm.ir.assert_structural_equal(got, shared_module(after, SHAPE))


def test_weights_that_bfloat16_does_not_hold() -> None:
    def network(x: relax.Var, _: Emit) -> relax.Expr:
        return nn.relu(add(nn.conv2d(x, const(FIRST / 3)), const(BIAS)))

    with pytest.raises((ValueError, tvm.error.InternalError), match="weights are not bfloat16"):
        apply(RoundToBfloat16(), shared_module(network, SHAPE))


def test_another_reader_of_a_rounded_map() -> None:
    def network(x: relax.Var, _: Emit) -> relax.Expr:
        return nn.softmax(nn.relu(add(nn.conv2d(x, const(FIRST)), const(BIAS))))

    with pytest.raises((ValueError, tvm.error.InternalError), match="reads bfloat16"):
        apply(RoundToBfloat16(), shared_module(network, SHAPE))
