from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.support.errors import UserError
from tests.random_lprnet import logits, random_lprnet


@pytest.fixture(scope="module")
def model() -> LPRNet:
    return random_lprnet()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 94) * 2 - 1


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
