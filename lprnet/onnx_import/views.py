"""Rewrites of operators that move values and change none: they meet their inverse and go."""

import onnx_ir as ir

from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.rewrite import constant, copy, insert, producer, rank

ELEMENTWISE = ("Relu", "QuantizeLinear", "DequantizeLinear")


def name_reshape(_onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """Where the shapes that ONNX infers differ in one dimension, of extent 1::

        Reshape(x: (n, c, h, w)) : (1, n, c, h, w)    =>  Unsqueeze(x, axis 0)
        Reshape(x: (1, n, c, h, w)) : (n, c, h, w)    =>  Squeeze(x, axis 0)

    and other axes likewise. A Reshape that splits or joins dimensions stays.
    """
    if node.op_type != "Reshape" or node.inputs[0] is None:
        return None
    old, new = _extents(node.inputs[0]), _extents(node.outputs[0])
    if old is None or new is None or abs(len(old) - len(new)) != 1:
        return None
    longer, shorter = (new, old) if len(new) > len(old) else (old, new)
    for axis, extent in enumerate(longer):
        if extent == 1 and longer[:axis] + longer[axis + 1 :] == shorter:
            operator = "Unsqueeze" if longer is new else "Squeeze"
            return insert(node, operator, [node.inputs[0], constant("axes", [axis])])
    return None


def _extents(value: ir.Value) -> list[int | None] | None:
    """The inferred shape of `value`; None in it is a batch that is not fixed. None where more is
    unknown than that.
    """
    if value.shape is None:
        return None
    extents = [extent if isinstance(extent, int) else None for extent in value.shape]
    return None if extents.count(None) > 1 else extents


def sink_view(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """An operator on each value alone comes before the view::

        f(Unsqueeze(x))  =>  Unsqueeze(f(x))
        f(Transpose(x))  =>  Transpose(f(x))

    where f is Relu, or QuantizeLinear or DequantizeLinear of one scale. One with a scale for each
    channel stays: its axis would be another.
    """
    view = producer(node, "Unsqueeze", "Transpose") if node.op_type in ELEMENTWISE else None
    if view is None or (node.op_type != "Relu" and onnx.constant(node, 1).size != 1):
        return None
    return copy(view, [copy(node, [view.inputs[0], *node.inputs[1:]]), *view.inputs[1:]], node)


def cancel_unsqueeze(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Squeeze(Unsqueeze(x, axis a), axis a)  =>  x``; of other axes it stays."""
    view = producer(node, "Unsqueeze") if node.op_type == "Squeeze" else None
    dimensions = None if view is None else rank(onnx, node.inputs[0])
    if view is None or dimensions is None:
        return None
    added = onnx.axes(view, dimensions)
    return view.inputs[0] if added and added == onnx.axes(node, dimensions) else None


def cancel_transposes(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Transpose(Transpose(x, p), q)  =>  x`` where q is the inverse of p."""
    view = producer(node, "Transpose") if node.op_type == "Transpose" else None
    if view is None:
        return None
    first, second = (onnx.integers(one, "perm", []) for one in (view, node))
    inverse = len(first) == len(second) and sorted(first) == list(range(len(first)))
    inverse = inverse and [first[axis] for axis in second] == sorted(first)
    return view.inputs[0] if first and inverse else None


def squeeze_in_mean(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Squeeze(ReduceMean(x, axes a, keepdims 1), axes a)  =>  ReduceMean(x, axes a, keepdims 0)``
    of four dimensions, as torch's newer exporter writes a mean.
    """
    mean = producer(node, "ReduceMean") if node.op_type == "Squeeze" else None
    if mean is None or onnx.integers(mean, "keepdims", [1]) == [0]:
        return None
    axes = onnx.axes(mean, 4)
    if axes != onnx.axes(node, 4):
        return None
    inputs = [mean.inputs[0], *([constant("axes", axes)] if axes else [])]
    return insert(node, "ReduceMean", inputs, keepdims=0)


def drop_output_transpose(_onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``logits = Transpose(x)  =>  logits = x``: our logits are `(N, classes, positions)`."""
    last = node.op_type == "Transpose" and node.outputs[0].is_graph_output()
    return node.inputs[0] if last else None
