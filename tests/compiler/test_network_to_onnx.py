"""`build --onnx`: the network that is compiled, for other runtimes, whatever its variant."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lprnet.build import Request, build
from lprnet.compiler.relax_to_onnx import network_to_onnx
from lprnet.compression.variants import prepare
from lprnet.model.preprocessing import normalise
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT


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
    quantized: str | None, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """In float32 with the norm of each image's own contexts, and with int8 weights."""
    network, _, _ = prepare(DEFAULT_CHECKPOINT, None, quantized)
    network_to_onnx(network, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert "images: (pixel - 127.5) / 128, BGR" in model.doc_string
    dequantized = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert len(dequantized) == (16 if quantized else 0)
    expected = network.expected(images)
    found = logits(tmp_path / "m.onnx", normalise(images))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * abs(expected).max())


def test_a_build_writes_what_it_compiles(images: NDArray[np.uint8], tmp_path: Path) -> None:
    """Its integers, which are read again as they are."""
    file = tmp_path / "new" / "m.onnx"
    checkpoint = DEFAULT_CHECKPOINT
    first, _ = build(
        Request(checkpoint, "static", None, "native", "manual", None, tmp_path, onnx=file)
    )
    assert "images: pixels as they are, 0 to 255, BGR" in onnx.load(file).doc_string
    assert [one.name for one in file.parent.iterdir()] == ["m.onnx"]
    again, _ = build(Request(file, None, None, "native", "manual", None, tmp_path / "again"))
    assert again.manifest.alphabet == first.manifest.alphabet
    np.testing.assert_array_equal(
        Recognizer(again.artifact).logits(images), Recognizer(first.artifact).logits(images)
    )


def test_a_path_that_cannot_be_written_is_one_sentence() -> None:
    network, _, _ = prepare(DEFAULT_CHECKPOINT, None, None)
    with pytest.raises(UserError, match="cannot be written"):
        network_to_onnx(network, Path(__file__) / "m.onnx")
