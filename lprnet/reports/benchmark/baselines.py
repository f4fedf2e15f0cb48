"""The files of the baselines: the original and our reduced graph as ONNX, in float32 and int8.

There are two int8 networks. One is our quantized network, exported in QDQ form. The other is made
by ONNX Runtime's static quantization on the images that ours is calibrated on, with the settings
that read most of 500 plates with the public checkpoint: QDQ, one weight scale a channel,
activations clipped at the 99.99th percentile (the reduced graph reads 447; with minima and maxima
or entropy 430), and float32 behind the backbone of the reduced graph (447; in int8 424). The
original graph is int8 throughout (444; with float32 behind the backbone 440).
"""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lprnet.compiler.onnx_file import quantized_to_onnx, reduced_to_onnx
from lprnet.compression.calibration import calibrate
from lprnet.compression.reduced import reduce
from lprnet.compression.variants import static_network
from lprnet.model.checkpoint import load_china
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.model.preprocessing import normalise
from lprnet.reports.benchmark.engines import GRAPHS, Entry
from lprnet.support.errors import UserError
from schedules.isa import Isa

PERCENTILE = 99.99
BACKBONE_OPERATORS = ["Conv", "MaxPool", "Relu"]

OURS = ("apache-tvm-ffi", "numpy")
TORCH = ("torch", "numpy")
ONNXRUNTIME, OPENVINO = ("onnxruntime", "numpy"), ("openvino", "numpy")


def baselines(checkpoint: Path, images: NDArray[np.uint8], isa: Isa, folder: Path) -> list[Entry]:
    """All baselines, their files written to `folder`.

    `images` are `(N, 24, 94, 3)` uint8 BGR to calibrate on. Raises `UserError` for a bad
    checkpoint, or if a baseline is not installed.
    """
    try:
        import onnxruntime  # noqa: F401
        import openvino  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; pip install -e '.[peers]' or leave out --peers"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    model = load_china(checkpoint)
    files = {graph: folder / f"{graph}.onnx" for graph in GRAPHS}
    to_onnx(model, files["original"], batch=None)
    calibrated = calibrate(model, images)
    reduced_to_onnx(reduce(calibrated).module, files["reduced"])

    found = []
    for graph in ("original", "reduced"):
        file = files[graph]
        weights = checkpoint if graph == "original" else file
        found.append(Entry("torch eager", "torch", weights, graph, TORCH))
        if graph == "original":
            kept = "torch, subnormals kept"
            found.append(Entry("torch eager, subnormals kept", kept, weights, graph, TORCH))
        found.append(Entry("torch.compile", "torch.compile", weights, graph, TORCH))
        int8 = folder / f"{graph}-int8.onnx"
        _quantize(file, int8, images, isa, float_tail=graph == "reduced")
        for source, kind in ((file, "fp32"), (int8, "int8")):
            found.append(Entry(f"ONNX Runtime {kind}", "onnxruntime", source, graph, ONNXRUNTIME))
            found.append(Entry(f"OpenVINO {kind}", "openvino", source, graph, OPENVINO))
    quantized = quantized_baselines(calibrated, images, files["quantized"])
    return [*found, *quantized]


def quantized_baselines(calibrated: LPRNet, images: NDArray[np.uint8], file: Path) -> list[Entry]:
    """The baselines that run our quantized network, written to `file` as QDQ ONNX."""
    quantized_to_onnx(static_network(reduce(calibrated), images), file)
    return [
        Entry("ONNX Runtime int8", "onnxruntime, pixels", file, "quantized", ONNXRUNTIME),
        Entry("OpenVINO int8", "openvino, pixels", file, "quantized", OPENVINO),
    ]


def _quantize(
    file: Path, int8: Path, images: NDArray[np.uint8], isa: Isa, float_tail: bool
) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class ImageReader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Calibration data, one image at a time."""

        def __init__(self) -> None:
            self.inputs: Iterator[NDArray[np.float32]] = iter(normalise(images)[:, None])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.inputs, None)
            return None if image is None else {"images": image}

    ready = int8.with_name(f".{int8.name}.ready")
    logging.getLogger().setLevel(logging.ERROR)
    try:
        quant_pre_process(str(file), str(ready), skip_symbolic_shape=True)
        convolutions = [n.name for n in onnx.load(str(ready)).graph.node if n.op_type == "Conv"]
        with contextlib.redirect_stdout(sys.stderr):  # it prints; stdout is for results
            quantization.quantize_static(
                str(ready),
                str(int8),
                ImageReader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                # Without VNNI, pairs of 8-bit products overflow their 16-bit sum.
                reduce_range=isa.saturates,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                op_types_to_quantize=BACKBONE_OPERATORS if float_tail else None,
                nodes_to_exclude=convolutions[-1:] if float_tail else None,
                calibrate_method=quantization.CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": PERCENTILE},
            )
    finally:
        ready.unlink(missing_ok=True)
