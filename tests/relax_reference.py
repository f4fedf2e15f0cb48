"""What a Relax graph computes, by torch: an independent reference for the passes' tests.

It shares nothing with `relay_passes`: it walks the bindings itself and reads each operator's
attributes itself. Raises `NotImplementedError` for an operator that no LPRNet graph holds.
"""

from collections.abc import Callable
from typing import Any

import torch
import tvm
from torch import Tensor
from torch.nn import functional as F
from tvm import relax


def evaluate(module: tvm.IRModule, x: Tensor) -> Tensor:
    """`main(x)` in the dtype of `x` (float64 input gives a float64 evaluation)."""
    function = module["main"]
    values: dict[Any, Any] = {function.params[0]: x}

    def value(expression: Any) -> Any:
        if expression in values:
            return values[expression]
        if isinstance(expression, relax.Tuple):
            return tuple(value(field) for field in expression.fields)
        if isinstance(expression, relax.TupleGetItem):
            return value(expression.tuple_value)[expression.index]
        if isinstance(expression, relax.Call):
            return OPERATORS[expression.op.name](expression, [_operand(a) for a in expression.args])
        tensor = torch.from_numpy(expression.value.numpy().copy())
        return tensor.to(x.dtype) if tensor.is_floating_point() else tensor

    def _operand(expression: Any) -> Any:
        try:
            return value(expression)
        except AttributeError:
            return expression

    for block in function.body.blocks:
        for binding in block.bindings:
            values[binding.var] = value(binding.value)
    result: Tensor = values[function.body.body]
    return result


def _ints(sequence: Any) -> list[int]:
    return [int(entry) for entry in sequence]


def _padded(call: Any, x: Tensor, fill: float) -> Tensor:
    top, left, bottom, right = _ints(call.attrs.padding)
    return F.pad(x, (left, right, top, bottom), value=fill)


def _conv2d(call: Any, operands: list[Any]) -> Tensor:
    x, weight = operands
    stride, dilation = _ints(call.attrs.strides), _ints(call.attrs.dilation)
    return F.conv2d(_padded(call, x, 0.0), weight, None, stride, 0, dilation, call.attrs.groups)


def _max_pool2d(call: Any, operands: list[Any]) -> Tensor:
    x = _padded(call, operands[0], float("-inf"))
    return F.max_pool2d(x, _ints(call.attrs.pool_size), _ints(call.attrs.strides))


def _avg_pool2d(call: Any, operands: list[Any]) -> Tensor:
    if any(_ints(call.attrs.padding)) and not call.attrs.count_include_pad:
        raise NotImplementedError("average pool that does not count its padding")
    x = _padded(call, operands[0], 0.0)
    return F.avg_pool2d(x, _ints(call.attrs.pool_size), _ints(call.attrs.strides))


def _batch_norm(call: Any, operands: list[Any]) -> tuple[Tensor]:
    x, gamma, beta, mean, variance = operands
    return (F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, call.attrs.epsilon),)


def _strided_slice(_call: Any, operands: list[Any]) -> Tensor:
    x, *rest = operands
    axes, begin, end, step = (_ints(entries) for entries in rest[:4])
    index = [slice(None)] * x.ndim
    for axis, b, e, s in zip(axes, begin, end, step, strict=True):
        index[axis] = slice(b, e, s)
    picked: Tensor = x[tuple(index)]
    return picked


OPERATORS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "relax.nn.conv2d": _conv2d,
    "relax.nn.batch_norm": _batch_norm,
    "relax.nn.relu": lambda _, v: v[0].relu(),
    "relax.nn.max_pool2d": _max_pool2d,
    "relax.nn.avg_pool2d": _avg_pool2d,
    "relax.repeat": lambda c, v: v[0].repeat_interleave(int(c.attrs.repeats), int(c.attrs.axis)),
    "relax.add": lambda _, v: v[0] + v[1],
    "relax.multiply": lambda _, v: v[0] * v[1],
    "relax.divide": lambda _, v: v[0] / v[1],
    "relax.power": lambda _, v: v[0] ** v[1],
    "relax.square": lambda _, v: v[0].square(),
    "relax.zeros_like": lambda _, v: torch.zeros_like(v[0]),
    "relax.mean": lambda c, v: v[0].mean(_ints(c.attrs.axis), keepdim=bool(c.attrs.keepdims)),
    "relax.squeeze": lambda c, v: v[0].squeeze(_ints(c.attrs.axis)),
    "relax.concat": lambda c, v: torch.cat(v[0], int(c.attrs.axis)),
    "relax.take": lambda c, v: v[0].index_select(int(c.attrs.axis), v[1]),
    "relax.strided_slice": _strided_slice,
    "relax.reshape": lambda c, v: v[0].reshape(_ints(c.ty.shape)),
}
