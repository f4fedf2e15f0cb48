"""`FoldQuantize`: quantize and dequantize around a convolution become one integer convolution."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, is_call

Floats = npt.NDArray[np.float64]

MAX_INPUT = 255
"""Largest magnitude of an 8-bit input, signed or not."""


@dataclass(frozen=True)
class QdqConvolution:
    """A convolution whose input, weight and output are quantized."""

    convolution: relax.Call
    data: relax.Expr
    """The integers it reads."""
    data_zero_point: int
    weight: npt.NDArray[np.int8]
    bias: Floats
    """(O,), in units of the accumulator."""
    multiplier: Floats
    """(O,), accumulator to output."""
    dtype: str
    """Type of the output; its largest value is the largest activation."""


@relax.transform.function_pass(opt_level=0, name="FoldQuantize")
class FoldQuantize:
    """A convolution in QDQ form becomes integer arithmetic (Jacob et al., arXiv:1712.05877, section
    2.2)::

        quantize(relu(conv2d(dequantize(x, s_x, z_x), dequantize(W, s_w)) + b), s_y, 0)
            =>  int(clip(round(float64(float32(conv2d(x, W) + b_q)) * m), 0, qmax))
        b_q = round(b / (s_x * s_w)) - z_x * sum(W),   m = float32(s_x * s_w / s_y)

    with one s_x, one s_y, and one s_w for each output channel. The product of two float32 is exact
    in float64, so only `round` rounds. Precondition: weights and output have zero point 0, so that
    clipping is the ReLU; z_x = 0 if the convolution is padded. Anything else is left alone. A sum
    that can overflow int32 raises `ValueError`.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its quantized convolutions on integers."""
        graph = Dataflow(function)

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            layer = _layer(graph, value) if is_call(value, "quantize") else None
            return None if layer is None else _integer_convolution(layer, new)

        return graph.rebuild(rewrite)


def _layer(graph: Dataflow, quantize: relax.Call) -> QdqConvolution | None:
    """The convolution that ends in `quantize`, or None if it does not match the pattern."""
    relu = graph.match(quantize.args[0], "nn.relu")
    add = None if relu is None else graph.match(relu.args[0], "add")
    convolution = None if add is None else graph.match(add.args[0], "nn.conv2d")
    if add is None or convolution is None:
        return None
    data, weight = (graph.match(argument, "dequantize") for argument in convolution.args)
    if data is None or weight is None:
        return None
    integers = array(weight.args[0])
    s_x, s_w, s_y = (_floats(call.args[1]) for call in (data, weight, quantize))
    z_x, z_w, z_y = (_floats(call.args[2]) for call in (data, weight, quantize))
    padded = any(convolution.attrs.padding)
    fits = s_x.size == 1 and s_y.size == 1 and z_x.size == 1 and not z_w.any() and not z_y.any()
    if integers is None or not fits or (padded and z_x.any()):
        return None
    out_channels = integers.shape[0]
    unit = np.broadcast_to(s_x * s_w.reshape(-1), (out_channels,))
    bias = np.broadcast_to(_floats(add.args[1]).reshape(-1), (out_channels,))
    return QdqConvolution(
        convolution,
        data.args[0],
        int(z_x.item()),
        integers.astype("int8"),
        bias / unit,
        unit / s_y,
        str(quantize.attrs.out_dtype),
    )


def _integer_convolution(layer: QdqConvolution, new: New) -> relax.Expr:
    convolution = layer.convolution
    sums = layer.weight.sum((1, 2, 3), dtype="int64")
    bias = np.rint(layer.bias) - layer.data_zero_point * sums
    products = MAX_INPUT * np.abs(layer.weight.astype("int64")).sum((1, 2, 3))
    if (np.abs(bias) + products > np.iinfo("int32").max).any():
        raise ValueError(
            "a quantized convolution's sum can overflow int32; its weight scale is small"
        )
    accumulator = relax.op.nn.conv2d(
        new(layer.data),
        relax.const(layer.weight),
        strides=[int(n) for n in convolution.attrs.strides],
        padding=[int(n) for n in convolution.attrs.padding],
        out_dtype="int32",
    )
    biased = relax.op.add(
        accumulator,
        relax.const(bias.astype("int32").reshape(1, -1, 1, 1)),
    )
    multiplier = layer.multiplier.astype("float32").astype("float64")
    scaled = relax.op.multiply(
        relax.op.astype(relax.op.astype(biased, "float32"), "float64"),
        relax.const(multiplier.reshape(1, -1, 1, 1), "float64"),
    )
    qmax = int(np.iinfo(layer.dtype).max)
    return relax.op.astype(relax.op.clip(relax.op.round(scaled), 0, qmax), layer.dtype)


def _floats(expression: relax.Expr) -> Floats:
    return np.asarray(array(expression), "float64")
