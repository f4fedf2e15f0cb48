"""ONNX Runtime's own quantizer, and what ONNX Runtime computes with a quantized file."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization

from lprnet.model.preprocessing import normalise
from lprnet.runtime.decode import greedy

OPERATORS = ["Conv", "MaxPool", "Slice", "Relu"]
INT8, UINT8, UINT16 = (
    getattr(quantization.QuantType, name) for name in ("QInt8", "QUInt8", "QUInt16")
)
QOPERATOR = quantization.QuantFormat.QOperator


def quantize_static(path: Path, images: NDArray[np.uint8], **options: Any) -> Path:
    """`theirs.onnx` beside `path`, by default of 7-bit weights, which every CPU sums exactly."""
    *_, last = (node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.inputs: Iterator[NDArray[np.float32]] = iter(normalise(images)[:, None])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.inputs, None)
            return None if image is None else {"images": image}

    defaults = {
        "quant_format": quantization.QuantFormat.QDQ,
        "activation_type": UINT8,
        "weight_type": INT8,
        "per_channel": True,
        "reduce_range": True,
        "op_types_to_quantize": OPERATORS,
        "nodes_to_exclude": [last],
    }
    theirs = path.with_name("theirs.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        quantization.quantize_static(str(path), str(theirs), Reader(), **(defaults | options))
    return theirs


def onnxruntime_logits(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    # Without VNNI it adds products in pairs; they are not ours, and would saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    x = normalise(images)
    return np.concatenate([session.run(None, {name: one[None]})[0] for one in x])


def assert_alike(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """ONNX Runtime rounds float32 products where we round exact ones, so a few of the half million
    activations of an image may go another way next to a tie; on some images none does.
    """
    errors = abs(found - expected).max((1, 2)) / abs(expected).max()
    assert np.quantile(errors, 0.2) < 1e-5
    assert errors.max() < 0.03
    assert [a.text for a in greedy(found)] == [b.text for b in greedy(expected)]
