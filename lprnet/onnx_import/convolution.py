"""A Conv of an ONNX graph with its constants, float32 or the integers of a DequantizeLinear."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from lprnet.model.conv_graph import convolution
from lprnet.model.lprnet import LPRNet
from lprnet.onnx_import.edge import REMEDY_OTHER_FILE, REMEDY_QUANTIZE_STATIC, check_scale, producer
from lprnet.onnx_import.graph import OnnxGraph


@dataclass(frozen=True)
class Convolution:
    """A Conv and its constants."""

    node: NodeProto
    weight: NDArray[Any]
    """OIHW, int8 or float32."""
    scale: NDArray[np.float32] | None
    """(O,), of int8 weights."""
    bias: NDArray[Any]
    """(O,), int32 or float32."""
    bias_scale: NDArray[np.float32] | None
    """(O,), of an int32 bias."""


def read_convolution(graph: OnnxGraph, node: NodeProto, model: LPRNet, name: str) -> Convolution:
    """`node` as the convolution called `name`, its kernel and padding being LPRNet's."""
    weight, scale = _values(graph, node, 1, np.int8)
    expected = convolution(model, name)
    top, left = (int(n) for n in expected.padding)
    ones = {
        entry
        for key in ("strides", "dilations", "group")
        for entry in graph.integers(node, key, [1])
    }
    same = weight.ndim == 4 and weight.shape[2:] == expected.kernel_size
    same = same and 0 < weight.shape[0] <= expected.out_channels
    same = same and 0 < weight.shape[1] <= expected.in_channels
    if not same or graph.padding(node) != [top, left] * 2 or ones != {1}:
        raise graph.refusal(
            node,
            f"with weights {weight.shape} is not LPRNet's {name}, whose weights are "
            f"{tuple(expected.weight.shape)} and whose padding is {top, left}; {REMEDY_OTHER_FILE}",
        )
    bias: NDArray[Any] = np.zeros(len(weight), np.float32)
    bias_scale = None
    if len(node.input) > 2 and node.input[2]:
        bias, bias_scale = _values(graph, node, 2, np.int32)
    if bias.shape != (len(weight),):
        raise graph.refusal(node, f"has a bias of shape {bias.shape}; {REMEDY_OTHER_FILE}")
    return Convolution(node, weight, scale, bias, bias_scale)


def _values(
    graph: OnnxGraph, node: NodeProto, index: int, dtype: type[np.generic]
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """A constant of `node`: float32, or integers of `dtype` and their `(O,)` scales."""
    real = graph.array(node.input[index])
    if real is not None:
        if real.dtype != np.float32:
            raise graph.refusal(node, f"has {real.dtype} constants; export the model in float32")
        return real, None
    dequantize = producer(graph, node.input[index], "DequantizeLinear")
    values, scale = _integers(graph, dequantize), graph.constant(dequantize, 1)
    zeros = len(dequantize.input) < 3 or not graph.constant(dequantize, 2).any()
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


def _integers(graph: OnnxGraph, dequantize: NodeProto) -> NDArray[Any]:
    """What `dequantize` reads: a constant, or a QuantizeLinear of one on the same grid."""
    quantize = graph.origins.get(dequantize.input[0])
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return graph.constant(dequantize, 0)
    real, scale, zero = (graph.constant(quantize, index) for index in range(3))
    same = list(quantize.input[1:]) == list(dequantize.input[1:]) and not zero.any()
    same &= zero.dtype == np.int8 and real.dtype == np.float32 and real.ndim > 0
    if not same or scale.size not in (1, len(real)):
        raise graph.refusal(
            quantize, f"is not of symmetric int8 weights; use {REMEDY_QUANTIZE_STATIC}"
        )
    check_scale(graph, quantize, scale)
    steps = np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1)))
    integers: NDArray[Any] = steps.clip(-128, 127).astype(np.int8)
    return integers
