"""Rewrites of operators that change nothing, or nothing but the type of a constant."""

import numpy as np
import onnx_ir as ir

from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.rewrite import constant


def drop_identity(_onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Identity(x)  =>  x``"""
    return node.inputs[0] if node.op_type == "Identity" else None


def fold_cast(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Cast(c, to float32)  =>  c'`` of a constant c."""
    values = onnx.operand(node, 0) if node.op_type == "Cast" else None
    if values is None or onnx.integers(node, "to", []) != [int(ir.DataType.FLOAT)]:
        return None
    return constant("c", values.astype(np.float32))


def drop_dropout(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Dropout(x)  =>  x`` in inference; one that was exported in training mode is refused."""
    if node.op_type != "Dropout":
        return None
    training = onnx.operand(node, 2)
    if training is not None and training.any():
        raise onnx.refusal(node, TRAINING)
    return node.inputs[0]


def drop_zero_pad(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``Pad(x, zeros)  =>  x``, as older torch writes it before an average pool."""
    if node.op_type != "Pad":
        return None
    given = onnx.operand(node, 1)
    pads = onnx.integers(node, "pads", [1]) if given is None else given.reshape(-1).tolist()
    return None if any(pads) else node.inputs[0]


def drop_unit_pool(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``MaxPool(x, kernel and stride of ones)  =>  x``"""
    if node.op_type != "MaxPool":
        return None
    sizes = {*onnx.integers(node, "kernel_shape", [0]), *onnx.integers(node, "strides", [1])}
    return node.inputs[0] if sizes == {1} and not any(onnx.padding(node)) else None


TRAINING = "was exported in training mode; call model.eval() before torch.onnx.export"
