"""The contexts that the container of an ONNX LPRNet reads: normalised, pooled, and joined."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from lprnet.model.architecture import Architecture, Context
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
    edge: Edge
    norm: float | None
    """What it is divided by; None: its own mean square."""
    over_height: bool
    """Averaged over the whole height at once."""


def match_contexts(
    graph: OnnxGraph, concat: NodeProto, architecture: Architecture, averages: bool
) -> list[OnnxContext]:
    """What `concat` joins: the contexts of `architecture`, all normalised alike, and all averaged
    over the height or none. `averages`: the height is averaged later.
    """
    count = len(architecture.contexts)
    if len(concat.input) != count or graph.integers(concat, "axis", []) not in ([1], [-3]):
        raise graph.refusal(
            concat, f"does not join LPRNet's {count} context maps; {REMEDY_OTHER_FILE}"
        )
    contexts = [
        _context(graph, name, architecture, index) for index, name in enumerate(concat.input)
    ]
    over_height = [context.over_height for context in contexts]
    if any(over_height) != all(over_height) or not (averages or all(over_height)):
        raise graph.refusal(concat, f"joins maps that are not LPRNet's; {REMEDY_OTHER_FILE}")
    per_image = [context.norm is None for context in contexts]
    # The mean square of a map that is averaged already is not the published network's.
    if any(per_image) != all(per_image) or (all(per_image) and all(over_height)):
        raise graph.refusal(
            concat, f"joins maps that are not all normalised alike; {REMEDY_OTHER_FILE}"
        )
    return contexts


def _context(graph: OnnxGraph, name: str, architecture: Architecture, index: int) -> OnnxContext:
    """Context `index` of `architecture`, `name` being what the container reads of it."""
    norm: float | None = 1.0
    node = graph.origins.get(name)
    if node is not None and node.op_type == "Div":
        name, norm = node.input[0], _norm(graph, node)
        node = graph.origins.get(name)
    context, over_height = architecture.contexts[index], False
    if node is not None and node.op_type == "AveragePool":
        over_height = _is_over_height(graph, node, context, architecture.grid[0], index)
        name = node.input[0]
    elif context.window > 1:
        producer(graph, name, "AveragePool")
    edge = edge_to(graph, name)
    whole = edge.origin is not None and not edge.slices and not edge.pools
    if not whole or not (edge.rectified or edge.steps) or len(edge.steps) > 1:
        raise UserError(
            f"{graph.path}: {name!r}, which context map {index} averages, is not what a layer of "
            f"LPRNet emits behind its ReLU, rounded at most once; {REMEDY_OTHER_FILE}, or "
            f"{REMEDY_QUANTIZE_STATIC}"
        )
    return OnnxContext(edge, norm, over_height)


def _norm(graph: OnnxGraph, divide: NodeProto) -> float | None:
    """The constant that `divide` divides by; None: the mean square of what it divides."""
    divisor = graph.array(divide.input[1])
    if divisor is None:
        _check_mean_square(graph, divide)
        return None
    if divisor.size != 1 or float(divisor.item()) < np.finfo(np.float32).tiny:
        raise graph.refusal(divide, "divides by no positive number; export or train it again")
    return float(divisor.item())


def _is_over_height(
    graph: OnnxGraph, node: NodeProto, context: Context, rows: int, index: int
) -> bool:
    """Whether `node`, the average pool of `context`, averages its `rows` rows of windows at once,
    which is the mean over the height hoisted above the container.
    """
    kernel, stride = (graph.integers(node, key, []) for key in ("kernel_shape", "strides"))
    plain = not any(graph.padding(node)) and graph.integers(node, "ceil_mode", [0]) == [0]
    side_by_side = context.kernel[0] == context.stride[0]
    whole = (
        [rows * context.kernel[0], context.kernel[1]],
        [rows * context.kernel[0], context.stride[1]],
    )
    if plain and side_by_side and (kernel, stride) == whole:
        return True
    if (
        plain
        and context.window > 1
        and (kernel, stride) == (list(context.kernel), list(context.stride))
    ):
        return False
    raise graph.refusal(node, f"is not LPRNet's pool of context map {index}; {REMEDY_OTHER_FILE}")


def _check_mean_square(graph: OnnxGraph, divide: NodeProto) -> None:
    """Raise `UserError` unless what `divide` divides by is the mean square of what it divides."""
    mean = producer(graph, divide.input[1], "ReduceMean")
    square = producer(graph, mean.input[0], "Pow", "Mul")
    power = graph.array(square.input[1]) if square.op_type == "Pow" else None
    squares = list(square.input) == [divide.input[0]] * 2
    if power is not None:
        squares = square.input[0] == divide.input[0] and power.size == 1 and power.item() == 2
    axes = reduced_axes(graph, mean)
    whole = axes in ([], [0, 1, 2, 3]) or (
        axes == [1, 2, 3] and graph.integers(mean, "keepdims", [1]) != [0]
    )
    if not squares or not whole:
        raise graph.refusal(
            divide, f"does not divide by the map's own mean square; {REMEDY_OTHER_FILE}"
        )


def reduced_axes(graph: OnnxGraph, node: NodeProto) -> list[int]:
    """Of a ReduceMean or Squeeze of four dimensions, sorted; none: all."""
    axes = graph.integers(node, "axes", [])
    if not axes and len(node.input) > 1 and node.input[1]:
        axes = graph.constant(node, 1).reshape(-1).tolist()
    return sorted(axis % 4 for axis in axes)
