"""Rewrites of what reducing a network makes of its contexts' norms, in files of `build --onnx`."""

import numpy as np
import onnx_ir as ir

from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.rewrite import constant, copy, insert, producer


def sink_height_mean(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """With p an average pool of all rows of its map, and m(x) the mean square of the map x::

        Squeeze(Conv(Concat(Div(p(x), m(x)), ...)), axis 2)
            =>  ReduceMean(Conv(Concat(Div(x, m(x)), ...)), axis 2)

    where the convolution is 1x1 and every m(x) is computed (`HoistHeightMean` is the way back).
    Contexts that are divided by constants stay: their two pools become one. So does a pool of
    fewer rows than its map has.
    """
    conv = producer(node, "Conv") if node.op_type == "Squeeze" else None
    concat = None if conv is None else producer(conv, "Concat")
    if conv is None or concat is None or onnx.axes(node, 4) != [2]:
        return None
    weight = onnx.operand(conv, 1)
    if weight is None or weight.shape[2:] != (1, 1):
        return None
    maps = []
    for value in concat.inputs:
        divide = None if value is None else value.producer()
        x = None if divide is None else _before_height_mean(onnx, divide)
        if divide is None or x is None:
            return None
        maps.append((divide, x))
    whole = [copy(divide, [x, divide.inputs[1]], node) for divide, x in maps]
    joined = copy(concat, whole, node)
    logits = copy(conv, [joined, *conv.inputs[1:]], node)
    return insert(node, "ReduceMean", [logits], axes=[2], keepdims=0)


def _before_height_mean(onnx: OnnxGraph, divide: ir.Node) -> ir.Value | None:
    """What the average pool over all rows reads whose output `divide` divides by no constant."""
    pool = producer(divide, "AveragePool") if divide.op_type == "Div" else None
    x = None if pool is None else pool.inputs[0]
    if pool is None or x is None or x.shape is None or onnx.operand(divide, 1) is not None:
        return None
    rows = [x.shape[2], 1]
    whole = onnx.integers(pool, "kernel_shape", []) == rows and not any(onnx.padding(pool))
    return x if whole and onnx.integers(pool, "strides", [1, 1])[1] == 1 else None


def fold_norm_factor(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """With m(x) computed and a number k, the share of the channels that are left in a map::

        Conv(Concat(Div(x, Mul(m(x), k)), ...), W)  =>  Conv(Concat(Div(x, m(x)), ...), [W / k ...])

    where W is float32 and known are the channels of every map; else it stays.
    """
    concat = producer(node, "Concat") if node.op_type == "Conv" else None
    weight = None if concat is None else onnx.operand(node, 1)
    if concat is None or weight is None or weight.dtype != np.float32:
        return None
    maps, factors = [], []
    for value in concat.inputs:
        channels = None if value is None or value.shape is None else value.shape[1]
        if value is None or not isinstance(channels, int):
            return None
        divide = value.producer()
        mean, factor = _scaled_mean(onnx, divide)
        if divide is None or mean is None:
            maps.append(value)
        else:
            maps.append(copy(divide, [divide.inputs[0], mean], node))
        factors.append(np.full(channels, factor))
    divisors = np.concatenate(factors)
    if (divisors == 1).all() or divisors.shape != weight.shape[1:2]:
        return None
    scaled = (weight / divisors.reshape(1, -1, 1, 1)).astype(np.float32)
    joined = copy(concat, maps, node)
    return copy(node, [joined, constant("W", scaled), *node.inputs[2:]])


def _scaled_mean(onnx: OnnxGraph, divide: ir.Node | None) -> tuple[ir.Value | None, float]:
    """m and k of a division by Mul(m, k); None and 1 of anything else."""
    divisor = divide.inputs[1] if divide is not None and divide.op_type == "Div" else None
    scaled = None if divisor is None else divisor.producer()
    factor = onnx.operand(scaled, 1) if scaled is not None and scaled.op_type == "Mul" else None
    if scaled is None or factor is None or factor.size != 1 or not factor.item() > 0:
        return None, 1.0
    return scaled.inputs[0], float(factor.item())
