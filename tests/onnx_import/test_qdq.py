"""QDQ files that ONNX Runtime's own quantizer writes: built exactly, or refused in one sentence."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from lprnet.build import Request, build
from lprnet.compression.compiler_inputs import imported_network
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.model.quantized import QuantizedLPRNet
from lprnet.onnx_import.load import load_onnx
from lprnet.reports.prediction import predict
from lprnet.reports.schedule_comparison import compare
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from lprnet.tuning import tune
from lprnet.weights import DEFAULT_CHECKPOINT

pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
shape_inference = pytest.importorskip("onnxruntime.quantization.shape_inference")

from tests.onnx_import.onnxruntime_qdq import (  # noqa: E402
    INT8,
    OPERATORS,
    QOPERATOR,
    UINT8,
    UINT16,
    assert_alike,
    onnxruntime_logits,
    quantize_static,
)

pytestmark = pytest.mark.usefixtures("few_calibration_images")

Quantize = Callable[..., Path]


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(30)])


def ready(model: LPRNet, folder: Path) -> Path:
    """`model` in ONNX, its batch norms folded, as ONNX Runtime's quantizer wants it."""
    to_onnx(model, folder / "float.onnx", batch=None)
    path = folder / "ready.onnx"
    logging.getLogger().setLevel(logging.ERROR)
    shape_inference.quant_pre_process(
        str(folder / "float.onnx"), str(path), skip_symbolic_shape=True
    )
    return path


@pytest.fixture(scope="module")
def quantize(images: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Quantize:
    """The default model as anyone would quantize it."""
    path = ready(load_model(DEFAULT_CHECKPOINT), tmp_path_factory.mktemp("qdq"))
    return lambda **options: quantize_static(path, images[:5], **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduce_range": False},
        {"per_channel": False},
        {"activation_type": INT8},
        {"op_types_to_quantize": ["Conv", "MaxPool", "Relu"]},
        {"op_types_to_quantize": ["Conv", "Relu"]},
        {"extra_options": {"QDQKeepRemovableActivations": True}},
        {"extra_options": {"DedicatedQDQPair": True}},
        {"extra_options": {"AddQDQPairToWeight": True}},
        {"extra_options": {"UseQDQContribOps": True}},
    ],
    ids=str,
)
def test_integers_are_those_of_the_file(
    options: dict[str, Any], quantize: Quantize, images: NDArray[np.uint8]
) -> None:
    path = quantize(**options)
    imported = load_onnx(path)
    assert isinstance(imported, QuantizedLPRNet)
    assert imported.model.context_means is None
    found = imported_network(imported).expected(images)
    assert_alike(found, onnxruntime_logits(path, images))


def round_again_behind_pools(path: Path) -> None:
    """What is left of a map behind each max pool gets a finer scale, as a calibration to
    percentiles gives it.
    """
    model = onnx.load(str(path))
    producers = {node.output[0]: node for node in model.graph.node}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def finer(node: onnx.NodeProto, name: str) -> None:
        values = numpy_helper.to_array(constants[node.input[1]]) * np.float32(0.7)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        node.input[1] = name

    for node in model.graph.node:
        read = producers.get(node.input[0])
        quantize = producers.get(read.input[0]) if node.op_type == "Conv" and read else None
        pool = quantize and producers.get(quantize.input[0])
        if read is not None and quantize is not None and pool and pool.op_type == "MaxPool":
            bias = producers[node.input[2]]
            finer(bias, f"finer {bias.name}")
            finer(quantize, f"finer {quantize.name}")
            read.input[1] = quantize.input[1]
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("means", [None, (0.4, 0.5, 0.6, 0.7)])
def test_an_artifact_of_theirs_computes_what_onnxruntime_does(
    means: tuple[float, ...] | None, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """With channels of dead batch norms, as the public checkpoint has them: no weight is left, and
    a bias of either sign. It goes into the biases behind them; a per-image norm counts it.
    """
    model = load_model(DEFAULT_CHECKPOINT)
    model.context_means = means
    dead = torch.arange(128) % 3 == 0
    norm = model.get_submodule("backbone.5")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight[dead] = 1e-24
        norm.bias[dead] = torch.linspace(-0.5, 1.0, int(dead.sum()))
    path = quantize_static(ready(model, tmp_path), images[:5])
    round_again_behind_pools(path)
    built, _ = build(Request(path, "static", None, "native", "manual", None, tmp_path))
    kernels = [kernel.kernel for kernel in built.compiled[0].kernels]
    assert sum(kernel.startswith("look_up") for kernel in kernels) == 4
    assert built.manifest.context_means == (means and pytest.approx(means))
    assert_alike(Recognizer(built.artifact).logits(images), onnxruntime_logits(path, images))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"op_types_to_quantize": None, "nodes_to_exclude": []}, "the last Conv among nodes_to_ex"),
        ({"op_types_to_quantize": None}, "the last Conv among nodes_to_exclude"),
        ({"op_types_to_quantize": ["Conv"]}, "op_types_to_quantize=.*'Relu'"),
        ({"op_types_to_quantize": [*OPERATORS, "AveragePool"]}, "op_types_to_quantize="),
        ({"extra_options": {"ActivationSymmetric": True}}, "leave ActivationSymmetric off"),
        ({"extra_options": {"QuantizeBias": False}}, "QuantizeBias on"),
        ({"activation_type": UINT16}, "not to 8 bits"),
        ({"weight_type": UINT8}, "is not of symmetric int8"),
        ({"quant_format": QOPERATOR}, "quant_format=QDQ"),
    ],
    ids=str,
)
def test_what_integer_kernels_cannot_compute_is_refused(
    options: dict[str, Any], sentence: str, quantize: Quantize
) -> None:
    with pytest.raises(UserError, match=rf"theirs\.onnx: the .*{sentence}"):
        load_onnx(quantize(**options))


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "build": lambda file, folder: build(
        Request(file, None, None, "broadwell", "manual", None, folder)
    ),
    "tune": lambda file, folder: tune.tune(
        tune.TuningOptions((file,), None, None, None, "broadwell", 1, False, 1, folder, None, None)
    ),
    "compare": lambda file, _: compare.compare_schedules(
        compare.ComparisonOptions(file, None, None, None, "broadwell")
    ),
    "predict": lambda file, _: predict.predict(file, None),
}


def test_integers_go_into_no_log_of_float32(quantize: Quantize, tmp_path: Path) -> None:
    options = tune.TuningOptions(
        (quantize(),), None, None, None, "broadwell", 1, False, 1, tmp_path, None, None
    )
    with pytest.raises(UserError, match=r"theirs\.onnx: is int8 .* for fp32; add --quantized$"):
        tune.tune(options)
    assert not list(tmp_path.iterdir())


@pytest.mark.isa("broadwell")
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_eight_bit_weights_need_vnni_or_say_so(
    command: Callable[[Path, Path], object],
    quantize: Quantize,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "mca_version", lambda: "not needed for this")
    monkeypatch.setattr(predict, "CORES", {"broadwell": ("broadwell", "broadwell")})
    folder = tmp_path / "new"
    with pytest.raises(UserError, match=r"theirs\.onnx: .*reduce_range"):
        command(quantize(reduce_range=False), folder)
    assert not list(folder.glob("*"))
