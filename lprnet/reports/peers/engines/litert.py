"""LiteRT with XNNPACK: float32, or weights in 8 bits and activations quantized in each call.

Its converter takes PyTorch modules, so an ONNX graph is carried over operator by operator. Its
static quantization reads 880 of 1000 plates with the public checkpoint.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from engines.interface import Array, Bind, Infer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

INT8 = ".int8.tflite"
"""The end of the name of a file whose weights are in 8 bits."""
Attributes = dict[str, Any]


def convert(source: "Path", target: "Path") -> None:
    """Write the ONNX file `source` as `target`; weights in 8 bits if that name ends in `INT8`."""
    import litert_torch
    import torch
    from ai_edge_quantizer import quantizer, recipe

    model = litert_torch.convert(_module(source), (torch.zeros(1, 3, 24, 94),))
    if not target.name.endswith(INT8):
        model.export(str(target))
        return
    float_file = target.with_suffix(".float")
    model.export(str(float_file))
    quantizing = quantizer.Quantizer(str(float_file))
    quantizing.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    quantizing.quantize().export_model(str(target), overwrite=True)
    float_file.unlink()


def load(file: str) -> Bind:
    """Load what `convert` wrote. It takes one image a call."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def bind(images: Array) -> Infer:
        def infer() -> Array:
            logits = []
            for image in images:
                interpreter.set_tensor(taken["index"], image[None])
                interpreter.invoke()
                logits.append(interpreter.get_tensor(given["index"]))
            return np.concatenate(logits)

        return infer

    return bind


def _module(source: "Path") -> "nn.Module":
    """The ONNX graph of `source` as a PyTorch module; `KeyError` for an operator of no LPRNet."""
    import onnx
    import torch
    from onnx import helper, numpy_helper

    graph = onnx.load(source).graph
    tensors = {one.name: one for one in graph.initializer}
    nodes = []
    for node in graph.node:
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Constant":
            tensors[node.output[0]] = attributes["value"]
        else:
            nodes.append((node, attributes))
    # Shapes and axes are plain numbers to the exporter, weights are parameters.
    arrays = {name: numpy_helper.to_array(one) for name, one in tensors.items()}
    fixed: dict[str, Any] = {
        name: array.reshape(-1).tolist() if array.dtype == np.int64 else torch.tensor(array)
        for name, array in arrays.items()
    }
    operators = _operators()

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for number, value in enumerate(fixed.values()):
                if isinstance(value, torch.Tensor):
                    self.register_buffer(f"weight{number}", value)

        def forward(self, images: "Tensor") -> "Tensor":
            values = fixed | {graph.input[0].name: images}
            for node, attributes in nodes:
                taken = [values[name] for name in node.input if name]
                values[node.output[0]] = operators[node.op_type](attributes, *taken)
            result: Tensor = values[graph.output[0].name]
            return result

    return Network().eval()


def _operators() -> dict[str, Callable[..., "Tensor"]]:
    """Each ONNX operator that an LPRNet has: its attributes and inputs to its output."""
    from torch import cat, tensor
    from torch.nn import functional as F

    def conv(given: Attributes, x: "Tensor", weight: "Tensor", bias: "Tensor") -> "Tensor":
        top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
        strides = given.get("strides", (1, 1))
        if (top, left) == (bottom, right):
            return F.conv2d(x, weight, bias, strides, (top, left))
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, strides)

    def cut(
        _: Attributes,
        x: "Tensor",
        starts: list[int],
        ends: list[int],
        axes: list[int],
        steps: list[int],
    ) -> "Tensor":
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            range_ = slice(start, min(end, x.shape[axis]), step)
            x = x[(slice(None),) * axis + (range_,)]
        return x

    return {
        "Conv": conv,
        "Relu": lambda _, x: F.relu(x),
        "MaxPool": lambda given, x: F.max_pool2d(x, given["kernel_shape"], given["strides"]),
        "AveragePool": lambda given, x: F.avg_pool2d(x, given["kernel_shape"], given["strides"]),
        "Slice": cut,
        "Concat": lambda given, *parts: cat(parts, given["axis"]),
        "Gather": lambda given, x, rows: x.index_select(given["axis"], tensor(rows)),
        "Squeeze": lambda _, x, axes: x.squeeze(axes[0]),
        "Pow": lambda _, x, exponent: x**exponent,
        "Div": lambda _, x, y: x / y,
        "ReduceMean": lambda given, x, axes: x.mean(axes, keepdim=bool(given["keepdims"])),
    }
