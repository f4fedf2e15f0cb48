"""The contexts that the container of an ONNX LPRNet reads: normalised, pooled, and joined."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lprnet.model.architecture import Pair
from lprnet.onnx_import.edge import (
    REMEDY_OTHER_FILE,
    REMEDY_QUANTIZE_STATIC,
    Edge,
    edge_to,
    producer,
)
from lprnet.onnx_import.graph import OnnxGraph
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class OnnxContext:
    """A context of the file."""

    edge: Edge
    """From the convolution that feeds it."""
    norm: float | None
    """What it is divided by; None: its own mean square."""
    kernel: Pair
    stride: Pair


def match_contexts(graph: OnnxGraph, concat: ir.Node) -> list[OnnxContext]:
    """What `concat` joins: contexts that are all normalised alike."""
    if graph.integers(concat, "axis", []) not in ([1], [-3]):
        raise graph.refusal(concat, f"does not join LPRNet's context maps; {REMEDY_OTHER_FILE}")
    contexts = [_context(graph, value, index) for index, value in enumerate(concat.inputs)]
    per_image = [context.norm is None for context in contexts]
    if any(per_image) != all(per_image):
        raise graph.refusal(
            concat, f"joins maps that are not all normalised alike; {REMEDY_OTHER_FILE}"
        )
    return contexts


def _context(graph: OnnxGraph, value: ir.Value | None, index: int) -> OnnxContext:
    """Context `index`, `value` being what the container reads of it."""
    norm: float | None = 1.0
    divide = _is(value, "Div")
    if divide is not None:
        value, norm = divide.inputs[0], _norm(graph, divide)
    pool, kernel, stride = _is(value, "AveragePool"), (1, 1), (1, 1)
    if pool is not None:
        kernel, stride = _windows(graph, pool, index)
        value = pool.inputs[0]
    edge = edge_to(graph, value)
    whole = edge.origin is not None and not edge.slices and not edge.pools
    if not whole or not (edge.rectified or edge.steps) or len(edge.steps) > 1:
        name = None if value is None else value.name
        raise UserError(
            f"{graph.path}: {name!r}, which context map {index} averages, is not what a layer of "
            f"LPRNet emits after its ReLU, rounded at most once; {REMEDY_OTHER_FILE}, or "
            f"{REMEDY_QUANTIZE_STATIC}"
        )
    return OnnxContext(edge, norm, kernel, stride)


def _is(value: ir.Value | None, operator: str) -> ir.Node | None:
    """The node that computes `value` if it is an `operator`."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == operator else None


def _norm(graph: OnnxGraph, divide: ir.Node) -> float | None:
    """The constant that `divide` divides by; None: the mean square of what it divides."""
    divisor = graph.array(divide.inputs[1])
    if divisor is None:
        _check_mean_square(graph, divide)
        return None
    if divisor.size != 1 or float(divisor.item()) < np.finfo(np.float32).tiny:
        raise graph.refusal(divide, "divides by no positive number; export or train it again")
    return float(divisor.item())


def _windows(graph: OnnxGraph, node: ir.Node, index: int) -> tuple[Pair, Pair]:
    """Kernel and stride of `node`, the average pool of context `index`."""
    kernel, stride = (graph.integers(node, key, []) for key in ("kernel_shape", "strides"))
    plain = not any(graph.padding(node)) and graph.integers(node, "ceil_mode", [0]) == [0]
    plain = plain and set(graph.integers(node, "dilations", [1])) == {1}
    if not plain or (len(kernel), len(stride)) != (2, 2) or min(*kernel, *stride) < 1:
        raise graph.refusal(
            node, f"is not LPRNet's pool of context map {index}; {REMEDY_OTHER_FILE}"
        )
    return (kernel[0], kernel[1]), (stride[0], stride[1])


def _check_mean_square(graph: OnnxGraph, divide: ir.Node) -> None:
    """Raise `UserError` unless what `divide` divides by is the mean square of what it divides."""
    mean = producer(graph, divide.inputs[1], "ReduceMean")
    square = producer(graph, mean.inputs[0], "Pow", "Mul")
    power = graph.operand(square, 1) if square.op_type == "Pow" else None
    squares = list(square.inputs) == [divide.inputs[0]] * 2
    if power is not None:
        squares = square.inputs[0] is divide.inputs[0] and power.size == 1 and power.item() == 2
    axes = graph.axes(mean, 4)
    whole = axes in ([], [0, 1, 2, 3]) or (
        axes == [1, 2, 3] and graph.integers(mean, "keepdims", [1]) != [0]
    )
    if not squares or not whole:
        raise graph.refusal(
            divide, f"does not divide by the map's own mean square; {REMEDY_OTHER_FILE}"
        )
