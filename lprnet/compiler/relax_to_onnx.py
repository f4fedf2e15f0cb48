"""The reduced Relax graph as an ONNX model, in float32 or in QDQ form."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from relay_passes.dataflow import Dataflow, array, pair, shape

OPSET, IR_VERSION = 17, 8
"""Old enough for all current runtimes, new enough for all operators of a reduced graph."""


def onnx_model(module: tvm.IRModule) -> onnx.ModelProto:
    """`module` in ONNX. A convolution and the `add` of a constant after it become one node;
    `quantize` and `dequantize` become QDQ nodes, and the bias of a convolution between them the
    int32 that its accumulator starts from. Raises `ValueError` for an operator that no reduced
    graph holds.
    """
    writer = _Writer(Dataflow(module["main"]))
    for var, value in writer.graph.values.items():
        writer.write(var, value)
    return writer.model()


class _Writer:
    """Collects the nodes and constants of the ONNX graph."""

    def __init__(self, graph: Dataflow) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.biases: set[relax.Var] = set()
        """Additions that are part of their convolution's node."""
        result: relax.Expr = graph.result
        while result in graph.values and not isinstance(graph.values[result], relax.Call):
            result = graph.values[result]
        self.names: dict[relax.Expr, str] = {graph.parameters[0]: "images", result: "logits"}

    def write(self, var: relax.Var, value: relax.Expr) -> None:
        """Add the node of a binding. Raises `ValueError` for an unknown operator."""
        if var in self.biases:
            return
        if not isinstance(value, relax.Call):
            self.names[var] = self._name(value)
            return
        operator = _operator(value)
        if operator not in self.OPERATORS:
            raise ValueError(f"a reduced graph holds no {operator}")
        self.OPERATORS[operator](self, var, value)

    def model(self) -> onnx.ModelProto:
        """The checked model."""
        images, logits = (
            helper.make_tensor_value_info(label, TensorProto.FLOAT, ["batch", *shape(tensor)[1:]])
            for label, tensor in (
                ("images", self.graph.parameters[0]),
                ("logits", self.graph.result),
            )
        )
        model = helper.make_model(
            helper.make_graph(self.nodes, "lprnet", [images], [logits], self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model)
        return model

    def _name(self, expression: relax.Expr) -> str:
        """The ONNX name of an expression; a constant is added at its first use."""
        if expression not in self.names:
            self.names[expression] = f"t{len(self.names)}"
            values = array(expression)
            if values is not None:
                self.constants.append(numpy_helper.from_array(values, self.names[expression]))
        return self.names[expression]

    def _node(self, operator: str, var: relax.Var, inputs: list[str], **attributes: Any) -> None:
        name = self._name(var)
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))

    def _new_constant(self, values: Any, label: str) -> str:
        self.constants.append(numpy_helper.from_array(values, f"{label}{len(self.constants)}"))
        return str(self.constants[-1].name)

    def _integers(self, values: list[int]) -> str:
        return self._name(relax.const(values, "int64"))

    def _convolution(self, var: relax.Var, value: relax.Call) -> None:
        user = self.graph.single_user(var)
        added = self.graph.match(user, "add") if user is not None else None
        inputs, out = [self._name(value.args[0]), self._name(value.args[1])], var
        if added is not None and (bias := array(added.args[1])) is not None:
            inputs.append(self._bias(bias.reshape(-1), self._accumulator_scale(value)))
            self.biases.add(out := user)
        attrs = value.attrs
        self._node("Conv", out, inputs, pads=_ints(attrs.padding), strides=pair(attrs.strides))

    def _accumulator_scale(self, convolution: relax.Call) -> Any:
        """The scales `(O,)` of an integer convolution's int32 sums; None for a float one."""
        data, weight = (self.graph.match(argument, "dequantize") for argument in convolution.args)
        if data is None or weight is None:
            return None
        scales = (np.asarray(array(side.args[1]), "float64") for side in (data, weight))
        return np.multiply(*scales)

    def _bias(self, bias: Any, scale: Any) -> str:
        """A float32 constant, or int32 with `scale` and a node that dequantizes it."""
        if scale is None:
            return self._new_constant(bias, "bias")
        scale = np.broadcast_to(scale, bias.shape)
        integers = np.rint(bias.astype("float64") / scale).astype("int32")
        quantized = self._new_constant(integers, "bias")
        inputs = [quantized, self._new_constant(scale.astype("float32"), "scale")]
        real = f"{quantized}_real"
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [real], real, axis=0))
        return real

    def _max_pool(self, var: relax.Var, value: relax.Call) -> None:
        self._node("MaxPool", var, [self._name(value.args[0])], **_pool(value.attrs))

    def _average_pool(self, var: relax.Var, value: relax.Call) -> None:
        self._node("AveragePool", var, [self._name(value.args[0])], **_pool(value.attrs))

    def _quantize(self, var: relax.Var, value: relax.Call) -> None:
        self._node("QuantizeLinear", var, [self._name(argument) for argument in value.args])

    def _dequantize(self, var: relax.Var, value: relax.Call) -> None:
        # One scale for the whole tensor has no axis.
        axis = {"axis": int(value.attrs.axis)} if shape(value.args[1]) else {}
        self._node("DequantizeLinear", var, [self._name(a) for a in value.args], **axis)

    def _relu(self, var: relax.Var, value: relax.Call) -> None:
        self._node("Relu", var, [self._name(value.args[0])])

    def _elementwise(self, var: relax.Var, value: relax.Call) -> None:
        operator = {"add": "Add", "multiply": "Mul", "divide": "Div"}[_operator(value)]
        self._node(operator, var, [self._name(argument) for argument in value.args])

    def _square(self, var: relax.Var, value: relax.Call) -> None:
        self._node("Mul", var, [self._name(value.args[0])] * 2)

    def _mean(self, var: relax.Var, value: relax.Call) -> None:
        axes, keep = _ints(value.attrs.axis), int(value.attrs.keepdims)
        self._node("ReduceMean", var, [self._name(value.args[0])], axes=axes, keepdims=keep)

    def _slice(self, var: relax.Var, value: relax.Call) -> None:
        data = value.args[0]
        axes, begin, end, step = (_ints(fields) for fields in value.args[1:5])
        ends = [min(e, shape(data)[axis]) for axis, e in zip(axes, end, strict=True)]
        bounds = [self._integers(entries) for entries in (begin, ends, axes, step)]
        self._node("Slice", var, [self._name(data), *bounds])

    def _repeat(self, var: relax.Var, value: relax.Call) -> None:
        data, axis = value.args[0], int(value.attrs.axis)
        rows = np.arange(shape(data)[axis]).repeat(int(value.attrs.repeats))
        self._node("Gather", var, [self._name(data), self._integers(rows.tolist())], axis=axis)

    def _concat(self, var: relax.Var, value: relax.Call) -> None:
        fields = value.args[0].fields
        axis = int(value.attrs.axis)
        self._node("Concat", var, [self._name(field) for field in fields], axis=axis)

    def _squeeze(self, var: relax.Var, value: relax.Call) -> None:
        inputs = [self._name(value.args[0]), self._integers(_ints(value.attrs.axis))]
        self._node("Squeeze", var, inputs)

    OPERATORS: ClassVar[dict[str, Callable[["_Writer", relax.Var, relax.Call], None]]] = {
        "nn.conv2d": _convolution,
        "nn.max_pool2d": _max_pool,
        "nn.avg_pool2d": _average_pool,
        "quantize": _quantize,
        "dequantize": _dequantize,
        "nn.relu": _relu,
        "add": _elementwise,
        "multiply": _elementwise,
        "divide": _elementwise,
        "square": _square,
        "mean": _mean,
        "strided_slice": _slice,
        "repeat": _repeat,
        "concat": _concat,
        "squeeze": _squeeze,
    }
    """Relax operator to the method that writes its node."""


def _operator(call: relax.Call) -> str:
    return str(call.op.name.removeprefix("relax."))


def _ints(values: Iterable[Any]) -> list[int]:
    return [int(value) for value in values]


def _pool(attrs: Any) -> dict[str, Any]:
    """Average pools of a reduced graph have no padding, or count it."""
    pool = {"kernel_shape": _ints(attrs.pool_size), "strides": _ints(attrs.strides)}
    return {**pool, "pads": _ints(attrs.padding)}
