import numpy as np
import pytest
import torch
import tvm
from tvm import relax
from tvm.relax.op import add, nn

from relay_passes.fold_normalise import FoldNormalise
from tests.relax_networks import NORMALISATION, Network, apply, const, module, random_weight
from tests.relax_reference import evaluate

SHAPE = (1, 3, 5, 7)
RNG = np.random.default_rng(0)
WEIGHT, NEXT = random_weight(RNG, 4, 3, 3, 3), random_weight(RNG, 5, 4, 1, 1)
BIAS = RNG.normal(size=(1, 4, 1, 1)).astype("float32")


def network(weight: np.ndarray, bias: np.ndarray) -> tvm.IRModule:
    """The next convolution is padded and has no bias: none of the pass's business."""

    def build(x: relax.Var) -> relax.Expr:
        first = nn.relu(add(nn.conv2d(x, const(weight)), const(bias)))
        return nn.conv2d(first, const(NEXT), padding=1)

    return module(build, SHAPE)


def test_the_normalisation_is_in_the_first_weights_and_biases() -> None:
    weight = WEIGHT.astype("float64")
    expected = network(weight / 128, BIAS - 127.5 / 128 * weight.sum((1, 2, 3)).reshape(BIAS.shape))
    tvm.ir.assert_structural_equal(
        apply(FoldNormalise(*NORMALISATION), network(WEIGHT, BIAS)), expected
    )


@pytest.mark.parametrize(("offset", "scale"), [NORMALISATION, (0.0, 1 / 255), (103.5, 0.0125)])
def test_pixels_give_what_normalised_values_gave(offset: float, scale: float) -> None:
    before = network(WEIGHT, BIAS)
    pixels = torch.from_numpy(RNG.integers(0, 256, SHAPE).astype("float64"))
    expected = evaluate(before, (pixels - offset) * scale)
    got = evaluate(apply(FoldNormalise(offset, scale), before), pixels)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)


def test_two_users_of_the_image_are_both_folded() -> None:
    def build(x: relax.Var) -> relax.Expr:
        one, two = (add(nn.conv2d(x, const(w)), const(BIAS)) for w in (WEIGHT, -2 * WEIGHT))
        return add(one, two)

    before = module(build, SHAPE)
    pixels = torch.from_numpy(RNG.integers(0, 256, SHAPE).astype("float64"))
    expected = evaluate(before, (pixels - 127.5) / 128)
    got = evaluate(apply(FoldNormalise(*NORMALISATION), before), pixels)
    torch.testing.assert_close(got, expected, rtol=0, atol=4e-6)


SQUARE = random_weight(RNG, 3, 3, 1, 1)
SCALAR = const(np.ones((1, 3, 1, 1)))
REFUSED = {
    "padded": lambda x: add(nn.conv2d(x, const(WEIGHT), padding=1), const(BIAS)),
    "no bias": lambda x: nn.conv2d(x, const(WEIGHT)),
    "no bias but a ReLU": lambda x: nn.relu(nn.conv2d(x, const(WEIGHT))),
    "a bias that is no constant": lambda x: add(nn.conv2d(x, const(SQUARE)), nn.relu(SCALAR)),
    "another user": lambda x: add(add(nn.conv2d(x, const(SQUARE)), SCALAR), nn.relu(x)),
}


@pytest.mark.parametrize("network", REFUSED.values(), ids=REFUSED)
def test_any_other_user_of_the_image_is_refused(network: Network) -> None:
    with pytest.raises(ValueError, match="unpadded convolutions with a constant bias"):
        apply(FoldNormalise(*NORMALISATION), module(network, SHAPE))
