"""From one convolution of an ONNX graph to the next: ReLU, quantization, slice, max pool."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from lprnet.onnx_import.graph import OnnxGraph, label
from lprnet.support.errors import UserError

OPERATORS = ("Relu", "QuantizeLinear", "DequantizeLinear", "Slice", "MaxPool")
TRANSFORMER = ("GridSample", "AffineGrid")
REMEDY_OTHER_FILE = "give the ONNX file of an LPRNet"
REMEDY_QUANTIZE_STATIC = (
    "ONNX Runtime's quantize_static with quant_format=QDQ, activation_type=QUInt8, "
    "weight_type=QInt8 and op_types_to_quantize=['Conv', 'MaxPool', 'Slice', 'Relu'], and the last "
    "Conv among nodes_to_exclude"
)
"""What makes ONNX Runtime write a file that integer kernels can compute exactly."""


@dataclass(frozen=True)
class Step:
    """A QuantizeLinear: reals `scale * (q - zero_point)`, 8 bits."""

    scale: float
    zero_point: int
    signed: bool


@dataclass(frozen=True)
class Edge:
    """What lies between a convolution's output, or the image, and its consumer."""

    origin: ir.Node | None
    """The convolution; None: the image."""
    rectified: bool
    """A ReLU comes before the first quantization."""
    steps: tuple[Step, ...]
    """Each quantization that changes anything, in order."""
    slices: tuple[slice, ...]
    """Of channels, one after the other."""
    pools: tuple[int, ...]
    """Width strides of 3x3 max pools whose height stride is 1."""

    def channels(self, count: int) -> NDArray[np.int64]:
        """Which of the origin's `count` channels the consumer gets, in order."""
        taken = np.arange(count)
        for entry in self.slices:
            taken = taken[entry]
        return taken


def edge_to(graph: OnnxGraph, value: ir.Value | None) -> Edge:
    """The edge to `value`. Raises `UserError` for what is not part of such an edge."""
    nodes = []
    origin = None
    while value is not graph.image:
        node = _producer(graph, value)
        if node.op_type == "Conv":
            origin = node
            break
        if node.op_type in TRANSFORMER:
            raise graph.refusal(
                node,
                "is a spatial transformer's, which is not compiled; export an LPRNet that was "
                "trained without one",
            )
        if node.op_type not in OPERATORS:
            raise graph.refusal(
                node,
                f"stands where LPRNet has none; {REMEDY_OTHER_FILE}, or {REMEDY_QUANTIZE_STATIC}",
            )
        nodes.append(node)
        value = node.inputs[0]
    rectified, real = False, True
    steps: list[Step] = []
    slices: list[slice] = []
    pools: list[int] = []
    for node in reversed(nodes):
        match node.op_type:
            case "Relu":
                if not real or (steps and steps[-1] != _at_zero(steps[-1])):
                    raise graph.refusal(
                        node,
                        "follows a rounding that has room for negative values; leave "
                        f"ActivationSymmetric off, and use {REMEDY_QUANTIZE_STATIC}",
                    )
                rectified |= not steps
            case "QuantizeLinear":
                step = read_step(graph, node)
                if not real:
                    raise graph.refusal(node, "reads integers; export the model again")
                if not steps or step != steps[-1]:
                    steps.append(step)
                real = False
            case "DequantizeLinear":
                if real or read_step(graph, node) != steps[-1]:
                    raise graph.refusal(
                        node, "has another scale than the QuantizeLinear before it; quantize again"
                    )
                real = True
            case "Slice":
                slices.append(_slice(graph, node))
            case "MaxPool":
                pools.append(_pool(graph, node))
    if not real:
        raise graph.refusal(nodes[0], "ends in integers; export the model in QDQ form")
    return Edge(origin, rectified, tuple(steps), tuple(slices), tuple(pools))


def read_step(graph: OnnxGraph, node: ir.Node) -> Step:
    """The one scale and zero point of a QuantizeLinear or DequantizeLinear of activations."""
    scale = graph.constant(node, 1)
    zero_point: NDArray[Any] = np.zeros((), np.uint8)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        zero_point = graph.constant(node, 2)
    if zero_point.dtype not in (np.uint8, np.int8) or scale.dtype != np.float32:
        raise graph.refusal(
            node,
            f"is to {zero_point.dtype} by a {scale.dtype} scale, not to 8 bits; use "
            f"{REMEDY_QUANTIZE_STATIC}",
        )
    if scale.size != 1 or zero_point.size != 1:
        raise graph.refusal(
            node, f"has a scale for each channel of activations; use {REMEDY_QUANTIZE_STATIC}"
        )
    check_scale(graph, node, scale)
    signed = zero_point.dtype == np.int8
    return Step(float(scale.item()), int(zero_point.item()), bool(signed))


def check_scale(graph: OnnxGraph, node: ir.Node, scale: NDArray[Any]) -> None:
    """Raise `UserError` unless every scale is a normal positive number."""
    if not (scale >= np.finfo(np.float32).tiny).all():
        raise graph.refusal(
            node, "has a scale that is zero, negative or next to nothing; quantize again"
        )


def _at_zero(step: Step) -> Step:
    """`step` with the zero point at which its lowest integer is 0.0."""
    return Step(step.scale, -128 if step.signed else 0, step.signed)


def _producer(graph: OnnxGraph, value: ir.Value | None) -> ir.Node:
    node = None if value is None else value.producer()
    if node is None:
        name = None if value is None else value.name
        raise UserError(
            f"{graph.path}: nothing computes {name!r}; give the complete ONNX file of an LPRNet"
        )
    return node


def _slice(graph: OnnxGraph, node: ir.Node) -> slice:
    """Of channels, from the first on."""
    start, end, axes = (graph.constant(node, index).reshape(-1).tolist() for index in (1, 2, 3))
    steps = graph.constant(node, 4).reshape(-1).tolist() if len(node.inputs) > 4 else [1]
    whole = all(isinstance(entry, int) for entry in (*end, *steps))
    if not whole or (axes, start) != ([1], [0]) or (len(end), len(steps)) != (1, 1) or steps[0] < 1:
        raise graph.refusal(node, "is not LPRNet's selection of channels from the first on")
    return slice(0, end[0], steps[0])


def _pool(graph: OnnxGraph, node: ir.Node) -> int:
    """The width stride of a 3x3 max pool."""
    strides = graph.integers(node, "strides", [1, 1])
    plain = not any(graph.padding(node)) and set(graph.integers(node, "dilations", [1])) == {1}
    plain = plain and graph.integers(node, "ceil_mode", [0]) == [0] and min(strides) > 0
    if graph.integers(node, "kernel_shape", []) != [3, 3] or strides[:-1] != [1] or not plain:
        raise graph.refusal(
            node, f"is not LPRNet's 3x3 max pool, which moves by one row; {REMEDY_OTHER_FILE}"
        )
    return strides[1]


def producer(graph: OnnxGraph, value: ir.Value | None, *operators: str) -> ir.Node:
    """The node that computes `value`, one of `operators`. Raises `UserError` for any other."""
    node = None if value is None else value.producer()
    if node is None or node.op_type not in operators:
        found = "nothing" if node is None else f"the {node.op_type} {label(node)}"
        name = None if value is None else value.name
        remedy = f"use {REMEDY_QUANTIZE_STATIC}" if _is_qdq(node) else REMEDY_OTHER_FILE
        raise UserError(
            f"{graph.path}: {found} computes {name!r} where LPRNet has its "
            f"{' or '.join(operators)}; {remedy}"
        )
    return node


def _is_qdq(node: ir.Node | None) -> bool:
    return node is not None and node.op_type in ("QuantizeLinear", "DequantizeLinear")
