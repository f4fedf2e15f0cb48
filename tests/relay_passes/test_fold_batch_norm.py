import numpy as np
import torch
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax
from tvm.relax.op import add, nn

from relay_passes.fold_batch_norm import FoldBatchNorm
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

SHAPE = (1, 1, 4, 4)
GAMMA, BETA, MEAN, VARIANCE = [2, 3], [1, -1], [0.5, 0.25], [4 - 2**-4, 16 - 2**-4]
WEIGHT = np.arange(4).reshape(2, 1, 1, 2)


def normalised(x: relax.Expr, training: bool = False) -> relax.Expr:
    statistics = map(const, (GAMMA, BETA, MEAN, VARIANCE))
    call = nn.batch_norm(x, *statistics, axis=1, epsilon=2**-4, training=training)
    return relax.TupleGetItem(call, 0)


def convolved(x: relax.Expr) -> relax.Expr:
    return nn.conv2d(x, const(WEIGHT))


def test_the_norm_scales_weights_and_bias() -> None:
    before = module(lambda x: normalised(add(convolved(x), per_channel(1, 2))), SHAPE)
    scale = [1.0, 0.75]
    expected = module(
        lambda x: add(
            nn.conv2d(x, const(WEIGHT * np.reshape(scale, (2, 1, 1, 1)))),
            per_channel(1.0 * (1 - 0.5) + 1, 0.75 * (2 - 0.25) - 1),
        ),
        SHAPE,
    )
    tvm.ir.assert_structural_equal(apply(FoldBatchNorm(), before), expected)


def test_a_convolution_without_bias_gets_one() -> None:
    before = module(lambda x: normalised(convolved(x)), SHAPE)
    expected = module(
        lambda x: add(
            nn.conv2d(x, const(WEIGHT * np.reshape([1.0, 0.75], (2, 1, 1, 1)))),
            per_channel(0.5, -1.1875),
        ),
        SHAPE,
    )
    tvm.ir.assert_structural_equal(apply(FoldBatchNorm(), before), expected)


def test_a_convolution_that_others_read_is_left_alone() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        conv = emit(convolved(x))
        return add(normalised(conv), conv)

    before = shared_module(network, SHAPE)
    tvm.ir.assert_structural_equal(apply(FoldBatchNorm(), before), before)


def test_batch_statistics_and_a_norm_of_something_else_are_left_alone() -> None:
    for before in (
        module(lambda x: normalised(convolved(x), training=True), SHAPE),
        module(lambda x: normalised(nn.relu(convolved(x))), SHAPE),
    ):
        tvm.ir.assert_structural_equal(apply(FoldBatchNorm(), before), before)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    gamma=st.sampled_from([1.0, 0.0, -2.0, 1e-20, 1e-41]),
    variance=st.sampled_from([0.0, 1e-6, 1.0, 100.0]),
)
def test_folded_equals_torch(
    seed: int, channels: tuple[int, int], gamma: float, variance: float
) -> None:
    rng = np.random.default_rng(seed)
    into, out = channels
    weight, bias = random_weight(rng, out, into, 3, 3), rng.normal(size=out).astype("float32")
    norm = torch.nn.BatchNorm2d(out).eval()
    values = (gamma * rng.normal(size=out), rng.normal(size=out), rng.normal(size=out))
    with torch.no_grad():
        for tensor, value in zip((norm.weight, norm.bias, norm.running_mean), values, strict=True):
            assert tensor is not None
            tensor.copy_(torch.from_numpy(value))
        norm.running_var = torch.full((out,), variance)
    statistics = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    before = module(
        lambda x: relax.TupleGetItem(
            nn.batch_norm(
                add(nn.conv2d(x, const(weight)), per_channel(*bias)),
                *(const(s.detach().numpy()) for s in statistics if s is not None),
                axis=1,
                epsilon=norm.eps,
                training=False,
            ),
            0,
        ),
        (1, into, 6, 5),
    )
    x = torch.from_numpy(rng.uniform(-1, 1, (2, into, 6, 5)))
    with torch.no_grad():
        convolution = torch.nn.functional.conv2d(
            x, torch.from_numpy(weight).double(), torch.from_numpy(bias).double()
        )
        expected = norm.double()(convolution)
    got = evaluate(apply(FoldBatchNorm(), before), x)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
