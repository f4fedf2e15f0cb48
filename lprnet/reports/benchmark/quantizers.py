"""The int8 networks that a user of ONNX Runtime or OpenVINO would make, on the images that ours is
calibrated on.

ONNX Runtime's static quantization has the settings that read most of 500 plates with the public
checkpoint: QDQ, one weight scale a channel, activations clipped at the 99.99th percentile (the
reduced graph reads 447; with minima and maxima or entropy 430), and float32 behind the backbone of
the reduced graph (447; in int8 424). The original graph is int8 throughout (444; with float32
behind the backbone 440). NNCF has its preset for speed, which also reads more plates than `MIXED`.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lprnet.model.preprocessing import normalise
from schedules.isa import Isa

PERCENTILE = 99.99
BACKBONE_OPERATORS = ["Conv", "MaxPool", "Relu"]


def quantize_with_onnxruntime(
    file: Path, int8: Path, images: NDArray[np.uint8], isa: Isa, float_tail: bool
) -> None:
    """Write the ONNX file `file` to `int8` in QDQ form, calibrated on `images` `(N, 24, 94, 3)`
    uint8 BGR; with `float_tail`, what is behind the backbone stays float32.
    """
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


def quantize_with_nncf(file: Path, int8: Path, images: NDArray[np.uint8]) -> None:
    """Write the ONNX file `file` to `int8`, an `.xml` of OpenVINO with its `.bin`, by its own
    post-training quantization, calibrated on `images` `(N, 24, 94, 3)` uint8 BGR.
    """
    with contextlib.redirect_stdout(sys.stderr):  # it prints; stdout is for results
        import nncf
        import openvino

        nncf.set_log_level(logging.ERROR)
        made = nncf.quantize(
            openvino.Core().read_model(str(file)),
            nncf.Dataset(list(normalise(images)[:, None])),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(images),
        )
        openvino.save_model(made, str(int8), compress_to_fp16=False)
