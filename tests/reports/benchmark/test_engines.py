"""Every engine computes what torch computes, at any batch size; and the measured costs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compression.calibration import calibrate
from lprnet.compression.compiler_inputs import static_network
from lprnet.compression.reduced import reduce
from lprnet.measure.engines import Infer
from lprnet.model.checkpoint import load_model, save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.reports.benchmark import engines
from lprnet.reports.benchmark.baselines import quantized_baselines
from lprnet.reports.benchmark.costs import (
    cold_start,
    installed_bytes,
    logits_and_throughput,
    repeatability,
)
from lprnet.reports.benchmark.engines import ENGINES, Engine, Entry
from lprnet.runtime.alphabet import BLANK, INDEX
from lprnet.runtime.decode import greedy
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random model by file ending."""
    torch.manual_seed(3)
    model, folder = LPRNet().eval(), tmp_path_factory.mktemp("files")
    found = {suffix: folder / f"m{suffix}" for suffix in (".safetensors", ".onnx")}
    save_model(model, found[".safetensors"])
    to_onnx(model, found[".onnx"], batch=None)
    return found


def test_our_integers_on_baselines(tmp_path: Path) -> None:
    """Their input tensor has pixels, not normalised values; the label names the graph."""
    pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
    pytest.importorskip("openvino", reason="the extra `peers` is not installed")
    plates = np.stack([image for image, _ in sample_plates(8)])
    model = calibrate(load_model(DEFAULT_CHECKPOINT), plates)
    found = quantized_baselines(model, plates, tmp_path / "quantized.onnx")
    assert [one.label for one in found] == [
        "ONNX Runtime int8, our integers",
        "OpenVINO int8, our integers",
    ]
    expected = static_network(reduce(model), plates).expected(plates)
    readings = [plate.text for plate in greedy(expected)]
    for one in found:
        texts = [plate.text for plate in greedy(one.open()(plates)())]
        assert sum(a == b for a, b in zip(texts, readings, strict=True)) >= 7


def images(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (count, 24, 94, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["torch, subnormals kept", "onnxruntime", "openvino"])
@pytest.mark.parametrize("batch", [1, 3])
def test_engines_agree(name: str, batch: int, files: dict[str, Path]) -> None:
    if name in ("onnxruntime", "openvino"):
        pytest.importorskip(name, reason="the extra `peers` is not installed")
    weights = files[".safetensors" if name.startswith("torch") else ".onnx"]
    expected = ENGINES["torch"](files[".safetensors"])(images(batch))()
    found = ENGINES[name](weights)(images(batch))()
    torch.set_flush_denormal(False)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_start_is_a_process_that_reads_a_file(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
    monkeypatch.setattr("lprnet.reports.benchmark.costs.STARTS", 2)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(cv2.imencode(".jpg", images(1)[0])[1].tobytes())
    started = cold_start(Entry("baseline", "onnxruntime", files[".onnx"]), photo)
    assert started.seconds > 0
    assert started.cpu_seconds
    with pytest.raises(RuntimeError, match="did not start"):
        cold_start(Entry("baseline", "onnxruntime", files[".onnx"]), tmp_path / "none.jpg")
    assert 10e6 < started.resident_bytes < 2e9


def test_all_cores_give_logits_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that reads the first pixel as a digit."""

    def brightness(_file: Path) -> Engine:
        def logits(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
            result = np.zeros((len(batch), 68, 18), np.float32)
            result[:, BLANK] = 10
            for number, image in enumerate(batch):
                result[number, INDEX[str(image[0, 0, 0])], 5] = 20
            return result

        return lambda batch: lambda: logits(batch)

    monkeypatch.setitem(engines.ENGINES, "fake", brightness)
    monkeypatch.setattr("lprnet.reports.benchmark.costs.THROUGHPUT_SECONDS", 0.01)
    batch = np.zeros((9, 24, 94, 3), np.uint8)
    batch[:, 0, 0, 0] = range(9)
    logits, throughput = logits_and_throughput(Entry("fake", "fake", Path()), batch)
    assert [plate.text for plate in greedy(logits)] == [str(number) for number in range(9)]
    assert throughput.plates_per_second > 0


def test_an_engine_that_fails_on_one_core_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other thread waits for it."""

    def failing(_file: Path) -> Engine:
        def ready(batch: NDArray[np.uint8]) -> Infer:
            if batch.any():
                raise RuntimeError("no such operator")
            return lambda: np.zeros((len(batch), 68, 18), np.float32)

        return ready

    monkeypatch.setitem(engines.ENGINES, "failing", failing)
    batch = np.zeros((2, 24, 94, 3), np.uint8)
    batch[1] = 1
    with pytest.raises(RuntimeError, match="no such operator"):
        logits_and_throughput(Entry("failing", "failing", Path()), batch)


def test_repeatability_is_the_largest_difference_between_halves() -> None:
    steady, noisy = np.array([1.0, 1.0, 2.0, 1.5]), np.array([1.0, 1.1, 3.0, 1.2])
    assert repeatability([steady]) == 0
    assert repeatability([steady, noisy]) == pytest.approx(0.1)


def test_dependencies_include_what_they_depend_on() -> None:
    numpy = installed_bytes(["numpy"])
    assert numpy > 1e6
    assert installed_bytes(["numpy", "NumPy"]) == numpy
    assert installed_bytes(["torch"]) > installed_bytes(["sympy"]) > 0
