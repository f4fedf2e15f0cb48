"""`InsertQuantize`: a float graph and its scales as a standard QDQ graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, is_call


@dataclass(frozen=True)
class Grid:
    """The reals `scale * (q - zero_point)` of unsigned integers q."""

    scale: float
    zero_point: int = 0


@dataclass(frozen=True)
class LayerScales:
    """The scales of one convolution and of what it emits after its ReLU."""

    weight_scales: npt.NDArray[np.float64]
    """(K,), positive: each row of the layer's weights is whole multiples of one of these."""
    activation_scale: float | None
    """The real activation is `activation_scale * q`, zero point 0; None leaves it in float32."""
    activation_levels: int = 255
    """The largest q: 127 (int8 in the QDQ form) or 255 (uint8)."""
    read_on: Grid | None = None
    """What the layer rounds its input to before it reads it; None: it reads what there is."""


OFF_GRID = 1e-2
"""Float32 weights of up to 127 steps lie within 1e-5 steps of their grid."""


def quantized_dtype(levels: int) -> str:
    """The QDQ type of activations 0 to `levels`: below zero nothing survives the ReLU anyway."""
    return {127: "int8", 255: "uint8"}[levels]


@tvm.transform.module_pass(opt_level=0, name="InsertQuantize")
class InsertQuantize:
    """Every layer but those left in float32 on quantized weights and quantized input::

        y = relu(conv2d(x, s_w * Wq) + b)
            =>  y = relu(conv2d(x, dequantize(Wq, s_w)) + b); dq(q(y))
        dq(q(y)) = dequantize(quantize(y, s, 0), s, 0)

    and the pixels `p` of the image become `dq(q(p))` of scale 1. What reads a quantized map reads
    `dq(q(y))`, and a layer with a grid of its own to read on `dq(q(dq(q(y))))`. Precondition:
    `layers` has one entry for each convolution in order, None for one that stays in float32; one
    with a quantized activation ends in a ReLU. The passes before may have dropped and permuted
    rows, so each row finds its scale again: the one on whose grid it lies. A row on none raises
    `ValueError`.
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
                integers, scales = on_grid(real, layer.weight_scales)
                weight = _dequantize(relax.const(integers), scales, "int8", axis=0)
                data = new(value.args[0])
                if layer.read_on is not None:
                    levels = 255 if value.args[0].same_as(image) else layer.activation_levels
                    data = _round_trip(data, layer.read_on, quantized_dtype(levels))
                elif value.args[0].same_as(image) and layer.activation_scale is not None:
                    data = _round_trip(data, Grid(1.0), "uint8")
                return relax.Call(value.op, [data, weight], value.attrs)
            if var in relus:
                layer = relus[var]
                scale = layer.activation_scale
                if scale is not None:
                    dtype = quantized_dtype(layer.activation_levels)
                    return _round_trip(relax.op.nn.relu(new(value.args[0])), Grid(scale), dtype)
            return None

        result = tvm.IRModule(dict(module.functions.items()))
        result["main"] = graph.rebuild(rewrite)
        return result


def on_grid(
    weight: npt.NDArray[np.float64], scales: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """OIHW weights as integers and the `(O,)` scales they are multiples of, out of `scales`.

    Errors count relative to a row's largest integer, or tiny weights would lie on every coarse
    grid, at zero. Of equals the coarsest is taken, so that a row of zeros keeps its bias small.
    """
    coarsest_first = np.sort(scales)[::-1]
    rows = weight.reshape(len(weight), 1, -1) / coarsest_first.reshape(1, -1, 1)
    steps = np.rint(rows)
    error, largest = np.abs(rows - steps).max(2), np.abs(steps).max(2)
    fits = (error <= OFF_GRID) & (largest <= 127) & ((largest > 0) | (error == 0))
    best = np.where(fits, error / np.maximum(largest, 1), np.inf).argmin(1)
    row = np.arange(len(weight))
    if not fits[row, best].all():
        raise ValueError("weights are not whole multiples of any of their layer's scales")
    integers = steps[row, best].astype("int8")
    return integers.reshape(weight.shape), coarsest_first[best].astype("float32")


def _round_trip(data: relax.Expr, grid: Grid, dtype: str) -> relax.Expr:
    scale = relax.const(np.float32(grid.scale))
    zero_point = relax.const(np.asarray(grid.zero_point, dtype))
    quantized = relax.op.quantize(data, scale, zero_point, 1, dtype)
    return relax.op.dequantize(quantized, scale, zero_point, 1)


def _dequantize(data: relax.Expr, scale: npt.ArrayLike, dtype: str, axis: int) -> relax.Expr:
    zero_point = np.zeros(np.shape(scale), dtype)
    return relax.op.dequantize(
        data, relax.const(np.asarray(scale, "float32")), relax.const(zero_point), axis
    )
