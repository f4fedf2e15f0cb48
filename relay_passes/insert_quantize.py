"""`InsertQuantize`: a float graph and its scales as a standard QDQ graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, is_call


@dataclass(frozen=True)
class QParams:
    """The reals `scale * (q - zero_point)` of unsigned integers q."""

    scale: float
    zero_point: int = 0
    qmax: int = 255
    """The largest q: 127 (int8 in the QDQ form) or 255 (uint8)."""


@dataclass(frozen=True)
class LayerScales:
    """The scales of one convolution and of what it emits after its ReLU."""

    weight_scales: npt.NDArray[np.float64]
    """(O,), positive: the weights of output channel c are whole multiples of the c-th."""
    activation_scale: float | None
    """The real activation is `activation_scale * q`, zero point 0; None leaves it in float32."""
    activation_qmax: int = 255
    """The largest q, as of `QParams`."""
    input_qparams: QParams | None = None
    """What the layer rounds its input to before it reads it; None: it reads what there is."""


TOLERANCE = 1e-2
"""Of a step. Float32 weights of up to 127 steps lie within 1e-5 steps of a whole multiple."""


def quantized_dtype(qmax: int) -> str:
    """The QDQ type of activations 0 to `qmax`: below zero nothing is left by the ReLU anyway."""
    return {127: "int8", 255: "uint8"}[qmax]


@tvm.transform.module_pass(opt_level=0, name="InsertQuantize")
class InsertQuantize:
    """Every layer but those left in float32 on quantized weights and quantized input::

        y = relu(conv2d(x, s_w * Wq) + b)
            =>  y = relu(conv2d(x, dequantize(Wq, s_w)) + b); dq(q(y))
        dq(q(y)) = dequantize(quantize(y, s, 0), s, 0)

    and the pixels `p` of the image become `dq(q(p))` of scale 1. What reads a quantized map reads
    `dq(q(y))`, and a layer with `input_qparams` of its own `dq(q(dq(q(y))))`. Precondition:
    `layers` has one entry for each convolution in order, None for one that stays in float32; one
    with a quantized activation ends in a ReLU. Weights that are no whole multiples of their
    channel's scale, or of more than 127 steps, raise `ValueError`.
    """

    def __init__(self, layers: Sequence[LayerScales | None]) -> None:
        self.layers = layers

    def transform_module(
        self, module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> tvm.IRModule:
        """The module with quantize and dequantize inserted in `main`."""
        graph = Dataflow(module["main"])
        convolutions = [v for v, value in graph.values.items() if is_call(value, "nn.conv2d")]
        chosen = dict(zip(convolutions, self.layers, strict=True))
        relus: dict[relax.Var, LayerScales] = {}
        for convolution, layer in chosen.items():
            if layer is None or layer.activation_scale is None:
                continue
            bias = graph.single_user(convolution)
            relu = None if bias is None else graph.single_user(bias)
            if relu is None or not is_call(graph.values[relu], "nn.relu"):
                raise ValueError("a quantized convolution must end in a bias and a ReLU")
            relus[relu] = layer
        (image,) = graph.parameters

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            layer = chosen.get(var)
            if layer is not None:
                real = np.asarray(array(value.args[1]), "float64")
                integers = _whole_multiples(real, layer.weight_scales)
                weight = _dequantize(relax.const(integers), layer.weight_scales, "int8", axis=0)
                data = new(value.args[0])
                if layer.input_qparams is not None:
                    data = _round_trip(data, layer.input_qparams)
                elif value.args[0].same_as(image) and layer.activation_scale is not None:
                    data = _round_trip(data, QParams(1.0))
                return relax.Call(value.op, [data, weight], value.attrs)
            if var in relus:
                layer = relus[var]
                scale = layer.activation_scale
                if scale is not None:
                    qparams = QParams(scale, qmax=layer.activation_qmax)
                    return _round_trip(relax.op.nn.relu(new(value.args[0])), qparams)
            return None

        result = tvm.IRModule(dict(module.functions.items()))
        result["main"] = graph.rebuild(rewrite)
        return result


def _whole_multiples(
    weight: npt.NDArray[np.float64], scales: npt.NDArray[np.float64]
) -> npt.NDArray[np.int8]:
    """OIHW weights as multiples of the `(O,)` scales. Raises `ValueError` where they are none."""
    if len(scales) != len(weight):
        raise ValueError(f"there are {len(scales)} scales for {len(weight)} output channels")
    multiples = weight / scales[:, None, None, None]
    integers = np.rint(multiples)
    if (np.abs(multiples - integers) > TOLERANCE).any() or (np.abs(integers) > 127).any():
        raise ValueError("weights are not whole multiples of their channel's scale")
    return integers.astype("int8")


def _round_trip(data: relax.Expr, qparams: QParams) -> relax.Expr:
    dtype = quantized_dtype(qparams.qmax)
    scale = relax.const(np.float32(qparams.scale))
    zero_point = relax.const(np.asarray(qparams.zero_point, dtype))
    quantized = relax.op.quantize(data, scale, zero_point, 1, dtype)
    return relax.op.dequantize(quantized, scale, zero_point, 1)


def _dequantize(data: relax.Expr, scale: npt.ArrayLike, dtype: str, axis: int) -> relax.Expr:
    zero_point = np.zeros(np.shape(scale), dtype)
    return relax.op.dequantize(
        data, relax.const(np.asarray(scale, "float32")), relax.const(zero_point), axis
    )
