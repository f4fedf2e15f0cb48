from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lprnet.compiler.frontend import to_onnx, to_relax
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from tests.relax_reference import evaluate


@pytest.fixture(scope="module")
def model() -> LPRNet:
    """Random weights and, unlike a fresh network, telling batch-norm statistics."""
    torch.manual_seed(1)
    model = LPRNet()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            torch.nn.init.normal_(layer.running_mean, std=0.1)
            torch.nn.init.uniform_(layer.running_var, 0.01, 1)
    return model


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 94) * 2 - 1


def logits(model: LPRNet, images: torch.Tensor) -> torch.Tensor:
    """What torch computes in inference mode; the model's mode is put back."""
    training = model.training
    with torch.no_grad():
        expected: torch.Tensor = model.eval()(images)
    model.train(training)
    return expected


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


def test_the_models_mode_is_put_back(model: LPRNet) -> None:
    model.train()
    to_relax(model)
    assert model.training
    assert model.get_submodule("backbone.1").training


@pytest.mark.parametrize("batch", [1, None])
def test_onnx_equals_torch(
    model: LPRNet, images: torch.Tensor, tmp_path: Path, batch: int | None
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "lprnet.onnx"
    to_onnx(model, path, batch)
    assert [file.name for file in tmp_path.iterdir()] == ["lprnet.onnx"]
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = images[:batch].numpy()
    (got,) = session.run(["logits"], {"images": feed})
    expected = logits(model, images[:batch]).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_path_that_cannot_be_written_is_the_users_mistake(model: LPRNet) -> None:
    path = Path(__file__) / "lprnet.onnx"
    with pytest.raises(UserError, match="cannot be written"):
        to_onnx(model, path)
