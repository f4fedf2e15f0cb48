"""A rewrite of an ONNX graph: an operator's output becomes another value that is the same."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from lprnet.onnx_import.graph import OnnxGraph
from lprnet.support.errors import UserError

Rewrite = Callable[[OnnxGraph, ir.Node], ir.Value | None]
"""What the only output of a node is replaced by; None where the rewrite does not apply. Nodes that
it needs are inserted before that node, in front of which all that they read is computed.
"""

MAX_STEPS = 20_000
"""Nodes that are looked at, once in each round, and rewrites: a second. An LPRNet takes some
hundred; a thousand views in front of a thousand operators are a million."""


def apply(onnx: OnnxGraph, rewrites: Sequence[Rewrite]) -> None:
    """Apply `rewrites` in turn to each node, until none applies to any; what nothing reads any more
    is removed. Raises `UserError` where that has no end in sight.
    """
    changed, steps = True, 0
    while changed:
        changed = False
        for node in tuple(onnx.graph):
            steps += 1
            if steps > MAX_STEPS:
                raise UserError(
                    f"{onnx.path}: has more views and pools in a row than any LPRNet; give the "
                    "ONNX file of an LPRNet"
                )
            if node.op_type == "Constant":
                continue
            for rewrite in rewrites:
                if node.graph is None:
                    break  # removed with its last user
                value = rewrite(onnx, node)
                if value is not None:
                    value.shape = node.outputs[0].shape if value.shape is None else value.shape
                    ir.convenience.replace_all_uses_with(
                        node.outputs[0], value, replace_graph_outputs=True
                    )
                    _remove_unused(node)
                    changed = True
                    steps += 1


def insert(
    before: ir.Node, operator: str, inputs: Sequence[ir.Value | None], **attributes: Any
) -> ir.Value:
    """The output of a new node."""
    node = ir.node(operator, inputs, attributes, name=before.name)
    assert before.graph is not None
    before.graph.insert_before(before, node)
    return node.outputs[0]


def copy(
    node: ir.Node, inputs: Sequence[ir.Value | None], before: ir.Node | None = None
) -> ir.Value:
    """The output of a node like `node` with other inputs, inserted before `before` or `node`."""
    place = node if before is None else before
    new = ir.Node(node.domain, node.op_type, inputs, node.attributes.values(), name=node.name)
    assert place.graph is not None
    place.graph.insert_before(place, new)
    return new.outputs[0]


def constant(name: str, values: Any) -> ir.Value:
    """A constant that any node can read."""
    return ir.Value(name=name, const_value=ir.tensor(np.asarray(values), name=name))


def rank(onnx: OnnxGraph, value: ir.Value | None) -> int | None:
    """How many dimensions `value` has, by the operators that compute it; None where these do not
    say. A file whose 3-D pools read four dimensions has no shapes that ONNX could infer.
    """
    more = 0
    while value is not None:
        constant_values = onnx.array(value)
        if constant_values is not None:
            return constant_values.ndim + more
        node = value.producer()
        if node is None or node.op_type == "Reshape":
            return None
        if node.op_type in ("Unsqueeze", "Squeeze"):
            count = len(onnx.axes(node, 8))
            if count == 0:
                return None
            more += count if node.op_type == "Unsqueeze" else -count
        # A convolution's result has as many dimensions as its weights, quantized or not.
        value = node.inputs[1 if node.op_type == "Conv" else 0]
    return None


def producer(node: ir.Node, *operators: str) -> ir.Node | None:
    """What computes the first input of `node`, if it is one of `operators`."""
    found = None if node.inputs[0] is None else node.inputs[0].producer()
    return found if found is not None and found.op_type in operators else None


def _remove_unused(node: ir.Node) -> None:
    """Remove `node` if nothing reads it, then likewise what it alone has read."""
    unused = [node]
    while unused:
        node = unused.pop()
        read = [v.producer() for v in node.inputs if v is not None]
        graph = node.graph
        if graph is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
            continue
        graph.remove(node, safe=True)
        unused += [producer for producer in read if producer is not None]
