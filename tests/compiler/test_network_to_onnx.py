"""`build --onnx`: the network that is compiled, for other runtimes, whatever its variant."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from lprnet.build import Request, build
from lprnet.compiler.network import torch_logits
from lprnet.compiler.onnx_file import network_to_onnx
from lprnet.compression.compiler_inputs import imported_network
from lprnet.compression.variants import prepare
from lprnet.measure.onnx_input import read_input
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import QuantizedLPRNet
from lprnet.onnx_import.load import load_onnx
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

pytestmark = pytest.mark.usefixtures("few_calibration_images")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow network, which is quantized in seconds."""
    path = tmp_path_factory.mktemp("network") / "narrow.pth"
    torch.save(state_of(seeded(ThirdPartyLPRNet(widths=(8, 16, 16, 16, 16)))), path)
    return path


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(10)])


def logits(file: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    runtime = pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"images": images})[0]
    return found


@pytest.mark.parametrize("quantized", [None, "weights"])
def test_onnxruntime_computes_the_same(
    quantized: str | None, checkpoint: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """In float32 with the norm of each image's own contexts, and with int8 weights."""
    network, _, _ = prepare(checkpoint, None, quantized)
    network_to_onnx(network, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert "images: (pixel - 127.5) / 128, BGR" in model.doc_string
    dequantized = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert len(dequantized) == (16 if quantized else 0)
    expected = network.expected(images)
    found = logits(tmp_path / "m.onnx", normalise(images))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * abs(expected).max())


def test_a_build_writes_what_it_compiles(
    checkpoint: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Its integers, which are read again as they are."""
    file = tmp_path / "new" / "m.onnx"
    first, _ = build(
        Request(checkpoint, "static", None, "native", "manual", None, tmp_path, onnx=file)
    )
    assert "images: pixels as they are, 0 to 255, BGR" in onnx.load(file).doc_string
    assert np.array_equal(read_input(file, None).tensor(images), images.transpose(0, 3, 1, 2))
    assert [one.name for one in file.parent.iterdir()] == ["m.onnx"]
    imported = load_onnx(file)
    assert isinstance(imported, QuantizedLPRNet)
    assert imported.model.architecture.alphabet == first.manifest.alphabet
    found = imported_network(imported).expected(images)
    expected = Recognizer(first.artifact).logits(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("seed", [0, 3])
def test_norms_of_each_image_are_read_again(
    seed: int, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Nothing was calibrated; of seed 3 the contexts lose channels, which their means count."""
    path = tmp_path / "narrow.pth"
    torch.save(state_of(seeded(ThirdPartyLPRNet(widths=(8, 16, 16, 16, 16)), seed)), path)
    network, _, _ = prepare(path, None, None)
    network_to_onnx(network, tmp_path / "m.onnx")
    scaled = any(
        node.op_type == "Mul" and node.input[0] != node.input[1]
        for node in onnx.load(tmp_path / "m.onnx").graph.node
    )
    assert scaled == (seed == 3)
    found = load_onnx(tmp_path / "m.onnx")
    assert isinstance(found, LPRNet)
    assert found.context_means is None
    expected = network.expected(images)
    np.testing.assert_allclose(
        torch_logits(found, images), expected, rtol=0, atol=1e-5 * abs(expected).max()
    )


def test_integers_chosen_for_avx2_are_built_for_it_again(
    checkpoint: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Some channels of this network are constant; were they dropped, their neighbours would get
    partners that a 16-bit sum does not hold.
    """
    network, _, _ = prepare(checkpoint, None, "static")
    network_to_onnx(network, tmp_path / "m.onnx")
    built, _ = build(
        Request(tmp_path / "m.onnx", None, None, "broadwell", "manual", None, tmp_path)
    )
    found, expected = Recognizer(built.artifact).logits(images), network.expected(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())


def test_a_path_that_cannot_be_written_is_one_sentence(checkpoint: Path) -> None:
    network, _, _ = prepare(checkpoint, None, None)
    with pytest.raises(UserError, match="cannot be written"):
        network_to_onnx(network, Path(__file__) / "m.onnx")
