"""The reduced Relax graph as ONNX, in float32 or as QDQ, so that other runtimes can run it too."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from lprnet.compiler.lower import reduce
from lprnet.compiler.network import CompilerInput
from lprnet.model.preprocessing import OFFSET, SCALE
from relay_passes.dataflow import Dataflow, array, pair, shape
from relay_passes.pipeline import quantize

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime in use, new enough for all operators here."""


def quantized_to_onnx(network: CompilerInput, path: Path) -> None:
    """Write a quantized `network` as standard QDQ ONNX, integers and scales those of its artifact.

    Its input `images` `(batch, 3, 24, 94)` float32 holds pixels as they are, 0 to 255, BGR: the
    zero point of normalised ones, 127.5, is no integer. ConstantPool are int8 with a scale a
    channel, activations uint8 with zero point 0, biases int32. Without VNNI, ONNX Runtime's
    products saturate unless the network was quantized for such a CPU.
    """
    *qdq, _fold = quantize(network.scales, OFFSET, SCALE)
    module = reduce(network.model)
    reduced_to_onnx(tvm.transform.Sequential(qdq, name="qdq")(module), path)


def reduced_to_onnx(module: tvm.IRModule, path: Path) -> None:
    """Write `relay_passes.pipeline.reduce_graph`'s module as ONNX, its batch dynamic.

    Input `images` `(batch, 3, 24, 94)`, output `logits`, float32. A convolution and the `add` of a
    constant after it become one node. Raises `ValueError` for an operator that a reduced graph with
    calibrated context constants does not hold. `quantize` and `dequantize` become QDQ nodes, and
    the bias of a convolution between them the int32 that its accumulator starts from.
    """
    graph = Dataflow(module["main"])
    names = {graph.parameters[0]: "images"}
    result: relax.Expr = graph.result
    while result in graph.values and not isinstance(graph.values[result], relax.Call):
        result = graph.values[result]
    names[result] = "logits"
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def name(expression: relax.Expr) -> str:
        if expression not in names:
            names[expression] = f"t{len(names)}"
            values = array(expression)
            if values is not None:
                constants.append(numpy_helper.from_array(values, names[expression]))
        return names[expression]

    def integers(values: list[int]) -> str:
        return name(relax.const(values, "int64"))

    def emit(operator: str, var: relax.Var, inputs: list[str], **attributes: Any) -> None:
        nodes.append(helper.make_node(operator, inputs, [name(var)], name(var), **attributes))

    def unit(convolution: relax.Call) -> Any:
        """What one step of an integer accumulator is worth, `(O,)`; None of a float one."""
        data, weight = (graph.match(argument, "dequantize") for argument in convolution.args)
        if data is None or weight is None:
            return None
        steps = (np.asarray(array(side.args[1]), "float64") for side in (data, weight))
        return np.multiply(*steps)

    def constant(values: Any, label: str) -> str:
        constants.append(numpy_helper.from_array(values, f"{label}{len(constants)}"))
        return str(constants[-1].name)

    def bias_input(bias: Any, step: Any) -> str:
        if step is None:
            return constant(bias, "bias")
        step = np.broadcast_to(step, bias.shape)
        quantized = constant(np.rint(bias.astype("float64") / step).astype("int32"), "bias")
        operands, real = [quantized, constant(step.astype("float32"), "scale")], f"{quantized}_real"
        nodes.append(helper.make_node("DequantizeLinear", operands, [real], real, axis=0))
        return real

    biased: set[relax.Var] = set()
    for var, value in graph.values.items():
        if var in biased:
            continue
        if not isinstance(value, relax.Call):
            names[var] = name(value)
            continue
        data, attrs = value.args[0], value.attrs
        match value.op.name.removeprefix("relax."):
            case "nn.conv2d":
                user = graph.single_user(var)
                added = graph.match(user, "add") if user is not None else None
                inputs = [name(data), name(value.args[1])]
                out = var
                if added is not None and (bias := array(added.args[1])) is not None:
                    inputs.append(bias_input(bias.reshape(-1), unit(value)))
                    biased.add(out := user)
                emit("Conv", out, inputs, pads=_ints(attrs.padding), strides=pair(attrs.strides))
            case "nn.max_pool2d":
                emit("MaxPool", var, [name(data)], **_pool(attrs))
            case "nn.avg_pool2d":
                emit("AveragePool", var, [name(data)], **_pool(attrs))
            case "quantize":
                emit("QuantizeLinear", var, [name(argument) for argument in value.args])
            case "dequantize":
                # One scale for the whole tensor has no axis.
                axis = {"axis": int(attrs.axis)} if shape(value.args[1]) else {}
                emit("DequantizeLinear", var, [name(a) for a in value.args], **axis)
            case "nn.relu":
                emit("Relu", var, [name(data)])
            case "add":
                emit("Add", var, [name(argument) for argument in value.args])
            case "strided_slice":
                axes, begin, end, step = (_ints(fields) for fields in value.args[1:5])
                ends = [min(e, shape(data)[axis]) for axis, e in zip(axes, end, strict=True)]
                bounds = [integers(entries) for entries in (begin, ends, axes, step)]
                emit("Slice", var, [name(data), *bounds])
            case "concat":
                emit("Concat", var, [name(field) for field in data.fields], axis=int(attrs.axis))
            case "squeeze":
                emit("Squeeze", var, [name(data), integers(_ints(attrs.axis))])
            case other:
                raise ValueError(f"a reduced graph holds no {other}")
    images, logits = (
        helper.make_tensor_value_info(label, TensorProto.FLOAT, ["batch", *shape(tensor)[1:]])
        for label, tensor in (("images", graph.parameters[0]), ("logits", graph.result))
    )
    model = helper.make_model(
        helper.make_graph(nodes, "lprnet", [images], [logits], constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _ints(values: Iterable[Any]) -> list[int]:
    return [int(value) for value in values]


def _pool(attrs: Any) -> dict[str, Any]:
    """Average pools of a reduced graph have no padding, or count it."""
    pool = {"kernel_shape": _ints(attrs.pool_size), "strides": _ints(attrs.strides)}
    return {**pool, "pads": _ints(attrs.padding)}
