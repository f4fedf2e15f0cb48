import re

import pytest
import torch
from torch.nn import BatchNorm2d

from lprnet.compiler.frontend import to_relax
from lprnet.model.lprnet import LPRNet
from tests.random_lprnet import logits, random_lprnet
from tests.relax_reference import evaluate


@pytest.fixture(scope="module")
def model() -> LPRNet:
    return random_lprnet()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 94) * 2 - 1


def test_relax_equals_torch(model: LPRNet, images: torch.Tensor) -> None:
    module = to_relax(model)
    torch.testing.assert_close(evaluate(module, images), logits(model, images))


def test_relax_takes_one_image_and_binds_every_weight(model: LPRNet) -> None:
    function = to_relax(model)["main"]
    assert [[int(n) for n in p.ty.shape] for p in function.params] == [[1, 3, 24, 94]]
    assert [int(n) for n in function.ret_ty.shape] == [1, 68, 18]


def test_calibrated_constants_are_exported_too(model: LPRNet, images: torch.Tensor) -> None:
    model.context_means = (0.5, 0.25, 2.0, 0.1)
    try:
        expected = logits(model, images)
        torch.testing.assert_close(evaluate(to_relax(model), images), expected)
    finally:
        model.context_means = None


def test_pools_and_squares_go_over_as_they_are(model: LPRNet) -> None:
    """Not as torch decomposes them: a pool in a tuple, a square as a power."""
    text = to_relax(model).script()
    assert text.count("R.nn.max_pool2d(") == 3
    assert text.count("R.square(") == 4
    assert "R.power(" not in text
    assert "zeros_like" not in text


def test_a_norm_keeps_its_epsilon() -> None:
    """TVM's own conversion takes momentum for it."""
    model = random_lprnet()
    for number, layer in enumerate(one for one in model.modules() if isinstance(one, BatchNorm2d)):
        layer.eps = 10.0 ** -(number + 1)
    text = to_relax(model).script()
    found = [float(one) for one in re.findall(r"R\.nn\.batch_norm\(.*epsilon=([^,]*),", text)]
    assert found == [10.0 ** -(number + 1) for number in range(6)]


def test_the_models_mode_is_put_back(model: LPRNet) -> None:
    model.train()
    to_relax(model)
    assert model.training
    assert model.get_submodule("backbone.1").training
