"""The rivals' files: the original and our reduced graph in ONNX, in float32 and in int8.

int8 is our quantized network in QDQ form, and ONNX Runtime's own static quantization on the images
that ours is calibrated on, with what read most plates of the public checkpoint: QDQ, one weight
scale a channel, activations to the 99.99th percentile (of 500 images the reduced graph reads 447
so, 430 with minima and maxima or entropy), and in the reduced graph everything after the backbone
in float32 (424 otherwise; the original one reads 444 in integers throughout, 440 so).
"""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lprnet.compiler.frontend import to_onnx, to_relax
from lprnet.compiler.relax_to_onnx import quantized_to_onnx, reduced_to_onnx
from lprnet.compiler.targets import Isa
from lprnet.compression.calibration import calibrate
from lprnet.compression.variants import static_network
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.reports.benchmark.engines import GRAPHS, Contestant
from lprnet.runtime.image_io import normalise
from lprnet.support.errors import UserError
from relay_passes.pipeline import reduce_graph

PERCENTILE = 99.99
BACKBONE_OPERATORS = ["Conv", "MaxPool", "Relu"]

OURS = ("apache-tvm-ffi", "numpy")
TORCH = ("torch", "numpy")
ONNXRUNTIME, OPENVINO = ("onnxruntime", "numpy"), ("openvino", "numpy")


def rivals(checkpoint: Path, images: NDArray[np.uint8], isa: Isa, folder: Path) -> list[Contestant]:
    """Every rival, its files written to `folder`; `images` `(N, 24, 94, 3)` to calibrate on.

    Raises `UserError` for a bad checkpoint, or where a rival is not installed.
    """
    try:
        import onnxruntime  # noqa: F401
        import openvino  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; pip install -e '.[peers]' or leave out --peers"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    model = load_model(checkpoint)
    files = {graph: folder / f"{graph}.onnx" for graph in GRAPHS}
    to_onnx(model, files["original"], batch=None)
    calibrated = calibrate(model, images)
    reduced_to_onnx(reduce_graph(to_relax(calibrated)), files["reduced"])

    found = []
    for graph in ("original", "reduced"):
        file = files[graph]
        weights = checkpoint if graph == "original" else file
        found.append(Contestant("torch eager", "torch", weights, graph, TORCH))
        if graph == "original":
            kept = "torch, subnormals kept"
            found.append(Contestant("torch eager, subnormals kept", kept, weights, graph, TORCH))
        found.append(Contestant("torch.compile", "torch.compile", weights, graph, TORCH))
        int8 = folder / f"{graph}-int8.onnx"
        _quantize(file, int8, images, isa, float_tail=graph == "reduced")
        for source, kind in ((file, "fp32"), (int8, "int8")):
            found.append(
                Contestant(f"ONNX Runtime {kind}", "onnxruntime", source, graph, ONNXRUNTIME)
            )
            found.append(Contestant(f"OpenVINO {kind}", "openvino", source, graph, OPENVINO))
    quantized = quantized_rivals(calibrated, images, files["quantized"])
    return [*found, *quantized]


def quantized_rivals(calibrated: LPRNet, images: NDArray[np.uint8], file: Path) -> list[Contestant]:
    """Those that run our quantized network, written to `file` as QDQ ONNX."""
    quantized_to_onnx(static_network(calibrated, images), file)
    return [
        Contestant("ONNX Runtime int8", "onnxruntime, pixels", file, "quantized", ONNXRUNTIME),
        Contestant("OpenVINO int8", "openvino, pixels", file, "quantized", OPENVINO),
    ]


def _quantize(
    file: Path, int8: Path, images: NDArray[np.uint8], isa: Isa, float_tail: bool
) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """One image at a time."""

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
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                # Without VNNI, products of 8 bits by 8 overflow the 16 they are summed in.
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
