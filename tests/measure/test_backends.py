"""Every backend computes what torch computes, and says what it cannot load."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.measure.backends import BACKENDS, default_backend, open_backend, reads_and_means
from lprnet.model.checkpoint import save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.support.errors import UserError


@pytest.fixture(scope="module")
def model() -> LPRNet:
    """Random weights, with running statistics that make batch norm matter."""
    torch.manual_seed(3)
    model = LPRNet().eval()
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.1, 1.0)
    return model


@pytest.fixture(scope="module")
def checkpoint(model: LPRNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "m.safetensors"
    save_model(model, path)
    return path


@pytest.fixture(scope="module")
def onnx_file(model: LPRNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    to_onnx(model, path)
    return path


def image() -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (1, 24, 94, 3), dtype=np.uint8)


def expected(model: LPRNet) -> NDArray[np.float32]:
    x = (torch.from_numpy(image()).float() - 127.5) * 0.0078125
    with torch.inference_mode():
        result: NDArray[np.float32] = model(x.permute(0, 3, 1, 2)).numpy()
    return result


def test_torch(model: LPRNet, checkpoint: Path) -> None:
    logits = open_backend(checkpoint, "torch")(image())
    np.testing.assert_allclose(logits, expected(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_onnx(backend: str, model: LPRNet, onnx_file: Path) -> None:
    pytest.importorskip(backend, reason="the extra `peers` is not installed")
    logits = open_backend(onnx_file, backend)(image())
    np.testing.assert_allclose(logits, expected(model), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_is_exported_for_onnxruntime(model: LPRNet, checkpoint: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
    logits = open_backend(checkpoint, "onnxruntime")(image())
    np.testing.assert_allclose(logits, expected(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("m.so", "tvm"),
        ("m.pth", "torch"),
        ("m.pt", "torch"),
        ("m.SafeTensors", "torch"),
        ("m.ONNX", "onnxruntime"),
    ],
)
def test_default(name: str, backend: str) -> None:
    assert default_backend(Path(name)) == backend


@pytest.mark.parametrize("name", ["m.pt", "m.bin", "m"])
def test_a_pickle_of_any_ending_is_read_as_build_reads_it(
    name: str, model: LPRNet, tmp_path: Path
) -> None:
    path = tmp_path / name
    torch.save(model.state_dict(), path)
    logits = open_backend(path, default_backend(path))(image())
    np.testing.assert_allclose(logits, expected(model), rtol=1e-4, atol=1e-4)
    assert reads_and_means(path) == (model.architecture.image_format, model.architecture.alphabet)


def test_another_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"m\.png is not a readable checkpoint"):
        open_backend(path, default_backend(path))


@pytest.mark.parametrize(
    ("name", "backend"),
    [("m.pth", "tvm"), ("m.so", "torch"), ("m.onnx", "torch"), ("m.so", "openvino")],
)
def test_wrong_backend(name: str, backend: str) -> None:
    with pytest.raises(UserError, match=f"cannot run in {backend}"):
        open_backend(Path(name), backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_absent_file(backend: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        open_backend(tmp_path / f"m{BACKENDS[backend][0].value}", backend)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"not ONNX", "cut"])
def test_damaged_onnx(backend: str, content: bytes | str, onnx_file: Path, tmp_path: Path) -> None:
    pytest.importorskip(backend, reason="the extra `peers` is not installed")
    damaged = tmp_path / "m.onnx"
    damaged.write_bytes(content if isinstance(content, bytes) else onnx_file.read_bytes()[:9000])
    with pytest.raises(UserError, match=f"is not an ONNX file that {backend} can run"):
        open_backend(damaged, backend)
