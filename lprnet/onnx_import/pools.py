"""Rewrites of pools over channels: the published network selects channels by a 3-D max pool.

Its kernel is one channel deep, so that it takes every c-th channel and is a 2-D pool of each. The
graph that they leave has a Slice and a MaxPool of two dimensions.
"""

import numpy as np
import onnx_ir as ir

from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.rewrite import constant, copy, insert, producer, rank

TO_THE_END = np.iinfo(np.int64).max


def pool_before_unsqueeze(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """A pool of three dimensions comes before the view of its input as a batch or a channel of one,
    or as maps of depth one::

        MaxPool_cyx(Unsqueeze(x, axis 0 or 1))  =>  Unsqueeze(MaxPool_cyx(x), axis 0 or 1)
        MaxPool_1yx(Unsqueeze(x, axis 2))       =>  Unsqueeze(MaxPool_yx(x), axis 2)

    where x has four dimensions. The first form is torch's own on such an x, and no ONNX.
    """
    view = producer(node, "Unsqueeze") if node.op_type == "MaxPool" else None
    if view is None or rank(onnx, node.inputs[0]) != 5 or _kernel(onnx, node)[:1] != [1]:
        return None
    (axis,) = onnx.axes(view, 5)
    if axis in (0, 1):
        return copy(view, [copy(node, [view.inputs[0]]), *view.inputs[1:]], node)
    if axis == 2 and len(_kernel(onnx, node)) == 3:
        pool = _plane_pool(onnx, node, view.inputs[0])
        return None if pool is None else copy(view, [pool, *view.inputs[1:]], node)
    return None


def split_3d_pool(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """``MaxPool(x, kernel [1, h, w], strides [c, y, x])  =>
    MaxPool(Slice(x, every c-th channel), kernel [h, w], strides [y, x])``

    where x has four dimensions; padding of channels leaves it as it is.
    """
    kernel = _kernel(onnx, node) if node.op_type == "MaxPool" else []
    if len(kernel) != 3 or kernel[0] != 1 or rank(onnx, node.inputs[0]) != 4:
        return None
    strides = onnx.integers(node, "strides", [1, 1, 1])
    if len(strides) != 3 or any(onnx.integers(node, "pads", [0] * 6)[::3]):
        return None
    return _plane_pool(onnx, node, _every(node, node.inputs[0], 1, strides[0]))


def slice_before_transpose(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """A pool of windows of one value is a selection, which comes before the view::

        MaxPool(Transpose(x, p), kernel [1, 1], strides [a, b])
            =>  Transpose(Slice(x, every a-th of axis p[2], every b-th of axis p[3]), p)

    as LPRNet is written for the processors that lack 3-D pools.
    """
    view = producer(node, "Transpose") if node.op_type == "MaxPool" else None
    if view is None or _kernel(onnx, node) != [1, 1] or any(onnx.padding(node)):
        return None
    order = onnx.integers(view, "perm", [])
    strides = onnx.integers(node, "strides", [1, 1])
    if len(order) != 4 or len(strides) != 2:
        return None
    value = view.inputs[0]
    for axis, step in zip(order[2:], strides, strict=True):
        value = _every(node, value, axis, step)
    return copy(view, [value], node)


def _kernel(onnx: OnnxGraph, node: ir.Node) -> list[int]:
    return onnx.integers(node, "kernel_shape", [])


def _every(before: ir.Node, value: ir.Value | None, axis: int, step: int) -> ir.Value | None:
    """Every `step`-th entry of `axis`, from the first on."""
    if step == 1:
        return value
    bounds = ([0], [TO_THE_END], [axis], [step])
    labels = ("starts", "ends", "axes", "steps")
    given = [constant(label, entry) for label, entry in zip(labels, bounds, strict=True)]
    return insert(before, "Slice", [value, *given])


def _plane_pool(onnx: OnnxGraph, node: ir.Node, value: ir.Value | None) -> ir.Value | None:
    """The pool of three dimensions `node` over rows and columns alone; None where its windows or
    its padding reach over more than one channel.
    """
    kernel = _kernel(onnx, node)
    strides, dilations = (onnx.integers(node, key, [1, 1, 1]) for key in ("strides", "dilations"))
    pads = onnx.integers(node, "pads", [0] * 6)
    given = len(strides) == len(dilations) == 3 and len(pads) == 6
    if not given or kernel[0] != 1 or pads[0] or pads[3]:
        return None
    onnx.padding(node)  # refuses auto_pad
    return insert(
        node,
        "MaxPool",
        [value],
        kernel_shape=kernel[1:],
        strides=strides[1:],
        dilations=dilations[1:],
        pads=[*pads[1:3], *pads[4:]],
        ceil_mode=onnx.integers(node, "ceil_mode", [0])[0],
    )
