"""A Conv of an ONNX graph with its constants, float32 or the integers of a DequantizeLinear."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from lprnet.model.architecture import Pair
from lprnet.onnx_import.edge import REMEDY_OTHER_FILE, REMEDY_QUANTIZE_STATIC, check_scale, producer
from lprnet.onnx_import.graph import OnnxGraph


@dataclass(frozen=True)
class Convolution:
    """A Conv and its constants."""

    node: ir.Node
    weight: NDArray[Any]
    """OIHW, int8 or float32."""
    scale: NDArray[np.float32] | None
    """(O,), of int8 weights."""
    bias: NDArray[Any]
    """(O,), int32 or float32."""
    bias_scale: NDArray[np.float32] | None
    """(O,), of an int32 bias."""
    padding: Pair


def read_convolution(graph: OnnxGraph, node: ir.Node) -> Convolution:
    """`node` as a convolution of two dimensions, stride 1 and as much padding at both ends."""
    weight, scale = _values(graph, node, 1, np.int8)
    ones = {
        entry
        for key in ("strides", "dilations", "group")
        for entry in graph.integers(node, key, [1])
    }
    pads = graph.padding(node)
    plain = weight.ndim == 4 and weight.size > 0 and ones == {1} and pads[:2] == pads[2:]
    if not plain or not all(0 <= pad < k for pad, k in zip(pads, weight.shape[2:], strict=False)):
        raise graph.refusal(
            node,
            f"with weights {weight.shape} is no convolution of LPRNet, which have stride 1, one "
            f"group and as much padding at both ends; {REMEDY_OTHER_FILE}",
        )
    bias: NDArray[Any] = np.zeros(len(weight), np.float32)
    bias_scale = None
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias, bias_scale = _values(graph, node, 2, np.int32)
    if bias.shape != (len(weight),):
        raise graph.refusal(node, f"has a bias of shape {bias.shape}; {REMEDY_OTHER_FILE}")
    return Convolution(node, weight, scale, bias, bias_scale, (pads[0], pads[1]))


def _values(
    graph: OnnxGraph, node: ir.Node, index: int, dtype: type[np.generic]
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """A constant of `node`: float32, or integers of `dtype` and their `(O,)` scales."""
    real = graph.array(node.inputs[index])
    if real is not None:
        if real.dtype != np.float32:
            raise graph.refusal(node, f"has {real.dtype} constants; export the model in float32")
        return real, None
    dequantize = producer(graph, node.inputs[index], "DequantizeLinear")
    values, scale = _integers(graph, dequantize), graph.constant(dequantize, 1)
    zeros = len(dequantize.inputs) < 3 or not graph.constant(dequantize, 2).any()
    if values.dtype != dtype or scale.dtype != np.float32 or not zeros:
        raise graph.refusal(
            dequantize, f"is not of symmetric {np.dtype(dtype)}; use {REMEDY_QUANTIZE_STATIC}"
        )
    if values.ndim == 0:
        raise graph.refusal(dequantize, f"is of one number; {REMEDY_OTHER_FILE}")
    on_rows = graph.integers(dequantize, "axis", [1]) in ([0], [-values.ndim])
    if not (scale.size == 1 or (on_rows and scale.shape == values.shape[:1])):
        raise graph.refusal(
            dequantize, f"has no scale for each output channel; use {REMEDY_QUANTIZE_STATIC}"
        )
    check_scale(graph, dequantize, scale)
    return values, np.broadcast_to(scale.reshape(-1), len(values))


def _integers(graph: OnnxGraph, dequantize: ir.Node) -> NDArray[Any]:
    """What `dequantize` reads: a constant, or a QuantizeLinear of one on the same grid."""
    value = dequantize.inputs[0]
    quantize = None if value is None else value.producer()
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return graph.constant(dequantize, 0)
    real, scale, zero = (graph.constant(quantize, index) for index in range(3))
    same = quantize.inputs[1:] == dequantize.inputs[1:] and not zero.any()
    same &= zero.dtype == np.int8 and real.dtype == np.float32 and real.ndim > 0
    if not same or scale.size not in (1, len(real)):
        raise graph.refusal(
            quantize, f"is not of symmetric int8 weights; use {REMEDY_QUANTIZE_STATIC}"
        )
    check_scale(graph, quantize, scale)
    steps = np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1)))
    integers: NDArray[Any] = steps.clip(-128, 127).astype(np.int8)
    return integers
