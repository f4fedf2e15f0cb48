"""The reduced Relax graph as ONNX, so that rivals can run it too."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from relay_passes.dataflow import Dataflow, array, pair, shape

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime in use, new enough for all operators here."""


def reduced_to_onnx(module: tvm.IRModule, path: Path) -> None:
    """Write `relay_passes.pipeline.reduce_graph`'s module as ONNX, its batch dynamic.

    Input `images` `(batch, 3, 24, 94)`, output `logits`, float32. A convolution and the `add` of a
    constant after it become one node. Raises `ValueError` for an operator that a reduced graph with
    calibrated context constants does not hold.
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
                reader = graph.only_reader(var)
                added = graph.match(reader, "add") if reader is not None else None
                inputs = [name(data), name(value.args[1])]
                out = var
                if added is not None and (bias := array(added.args[1])) is not None:
                    flat = numpy_helper.from_array(bias.reshape(-1), f"bias{len(constants)}")
                    constants.append(flat)
                    inputs.append(flat.name)
                    biased.add(out := reader)
                emit("Conv", out, inputs, pads=_ints(attrs.padding), strides=pair(attrs.strides))
            case "nn.max_pool2d":
                emit("MaxPool", var, [name(data)], **_pool(attrs))
            case "nn.avg_pool2d":
                emit("AveragePool", var, [name(data)], **_pool(attrs))
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
