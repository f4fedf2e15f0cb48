"""Our quantized network as QDQ ONNX: ONNX Runtime reads with it what the artifact must read."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from lprnet.compiler.network import CompilerInput
from lprnet.compiler.onnx_file import quantized_to_onnx
from lprnet.compression.compiler_inputs import quantized_network
from lprnet.runtime.decode import greedy
from lprnet.synthetic.render import sample_plates
from tests.prepared import quantized_on_few_plates
from tests.shared_results import SharedResults


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(30)])


@pytest.fixture(scope="module")
def network(shared_results: SharedResults) -> CompilerInput:
    return quantized_network(*shared_results.call(quantized_on_few_plates))


@pytest.fixture(scope="module")
def file(network: CompilerInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qdq") / "lprnet-int8.onnx"
    quantized_to_onnx(network, path)
    return path


def logits(file: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    runtime = pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
    options = runtime.SessionOptions()
    # Without VNNI it adds products in pairs; they are not ours, and would saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    pixels = images.transpose(0, 3, 1, 2).astype("float32")
    found: NDArray[np.float32] = session.run(None, {"images": pixels})[0]
    return found


def test_onnxruntime_reads_the_same_plates(
    network: CompilerInput, file: Path, images: NDArray[np.uint8]
) -> None:
    """Its requantization may round a tie the other way: levels differ by one here and there."""
    expected, found = network.expected(images), logits(file, images)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    same = [a.text == b.text for a, b in zip(greedy(expected), greedy(found), strict=True)]
    assert len(same) == 30
    assert sum(same) >= 29


def test_every_convolution_but_the_container_is_of_integers(file: Path) -> None:
    graph = onnx.load(file).graph
    origin = {name: node for node in graph.node for name in node.output}
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    *backbone, _container = (node for node in graph.node if node.op_type == "Conv")
    assert len(backbone) == 15
    for convolution in backbone:
        data, weight, bias = (origin[name] for name in convolution.input)
        assert {data.op_type, weight.op_type, bias.op_type} == {"DequantizeLinear"}
        assert values[weight.input[0]].dtype == np.int8
        assert values[bias.input[0]].dtype == np.int32
        steps = values[data.input[1]].astype("float64") * values[weight.input[1]]
        np.testing.assert_allclose(values[bias.input[1]], steps, rtol=1e-6)
