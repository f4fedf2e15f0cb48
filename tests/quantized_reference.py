"""What a quantized Relax graph computes, by NumPy in the graph's own dtypes.

Integers are exact (int64 sums of products), what has been cast to float32 is rounded in float32,
and everything else, the QDQ form's real numbers, is float64. It shares nothing with `relay_passes`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from tvm import relax

Array = NDArray[Any]


def evaluate(module: tvm.IRModule, x: Array) -> Array:
    """`main(x)`; `x` is NCHW, float64 for a float32 parameter."""
    function = module["main"]
    values: dict[Any, Array] = {function.params[0]: x}

    def value(expression: Any) -> Array:
        if expression in values:
            return values[expression]
        if isinstance(expression, relax.Call):
            return OPERATORS[expression.op.name](expression, [value(a) for a in expression.args])
        if isinstance(expression, relax.Tuple):
            if expression.fields and expression.fields[0] in values:
                return np.concatenate([values[field] for field in expression.fields], axis=1)
            return np.array([int(field) for field in expression.fields])
        if hasattr(expression, "value") and hasattr(expression.value, "numpy"):
            constant: Array = expression.value.numpy()
            return constant
        return np.array(expression.value)

    for block in function.body.blocks:
        for binding in block.bindings:
            values[binding.var] = value(binding.value)
    return values[function.body.body]


def _per(axis: int, parameter: Array) -> Array:
    """A scale or zero point in float64, shaped to broadcast along `axis` of NCHW."""
    shape = [1, 1, 1, 1]
    shape[axis] = parameter.size
    return parameter.astype("float64").reshape(shape)


def _quantize(call: Any, operands: list[Array]) -> Array:
    x, scale, zero_point = operands
    axis, dtype = int(call.attrs.axis), str(call.attrs.out_dtype)
    steps = np.rint(x / _per(axis, scale)) + _per(axis, zero_point)
    return steps.clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def _dequantize(call: Any, operands: list[Array]) -> Array:
    q, scale, zero_point = operands
    axis = int(call.attrs.axis)
    return (q.astype("float64") - _per(axis, zero_point)) * _per(axis, scale)


def _conv2d(call: Any, operands: list[Array]) -> Array:
    x, weight = (o.astype("int64" if o.dtype.kind in "iu" else "float64") for o in operands)
    rows, columns = (int(n) for n in call.attrs.strides)
    top, left, bottom, right = (int(n) for n in call.attrs.padding)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(x, weight.shape[2:], (2, 3))[:, :, ::rows, ::columns]
    out: Array = np.einsum("nchwij,ocij->nohw", windows, weight)
    return out


def _windows(call: Any, x: Array) -> Array:
    assert not any(int(n) for n in call.attrs.padding)
    rows, columns = (int(n) for n in call.attrs.strides)
    size = tuple(int(n) for n in call.attrs.pool_size)
    view: Array = sliding_window_view(x, size, (2, 3))[:, :, ::rows, ::columns]
    return view


def _strided_slice(_call: Any, operands: list[Array]) -> Array:
    x, axes, begin, end, *_ = operands
    index = [slice(None)] * x.ndim
    for axis, first, last in zip(axes, begin, end, strict=True):
        index[axis] = slice(first, last)
    return x[tuple(index)]


def _concat(call: Any, operands: list[Array]) -> Array:
    """Of maps along their channels; `evaluate` has joined them."""
    assert int(call.attrs.axis) == 1
    return operands[0]


OPERATORS: dict[str, Callable[[Any, list[Array]], Array]] = {
    "relax.quantize": _quantize,
    "relax.dequantize": _dequantize,
    "relax.nn.conv2d": _conv2d,
    "relax.repeat": lambda call, v: v[0].repeat(int(call.attrs.repeats), int(call.attrs.axis)),
    "relax.nn.relu": lambda _, v: v[0].clip(0),
    "relax.nn.max_pool2d": lambda c, v: _windows(c, v[0]).max((4, 5)),
    "relax.nn.avg_pool2d": lambda c, v: _windows(c, v[0]).mean((4, 5)),
    "relax.add": lambda _, v: v[0] + v[1],
    "relax.multiply": lambda _, v: v[0] * v[1],
    "relax.divide": lambda _, v: v[0] / v[1],
    "relax.square": lambda _, v: np.square(v[0]),
    "relax.mean": lambda c, v: v[0].mean(tuple(int(n) for n in c.attrs.axis), keepdims=True),
    "relax.concat": _concat,
    "relax.round": lambda _, v: np.rint(v[0]),
    "relax.clip": lambda _, v: v[0].clip(v[1], v[2]),
    "relax.astype": lambda c, v: v[0].astype(str(c.attrs.dtype)),
    "relax.strided_slice": _strided_slice,
    "relax.squeeze": lambda c, v: v[0].squeeze(tuple(int(axis) for axis in c.attrs.axis)),
}
