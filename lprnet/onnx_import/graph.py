"""An ONNX file as a graph: read once, and nothing in it trusted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from lprnet.model.checkpoint_content import METADATA, check_size
from lprnet.support.errors import UserError

OPERANDS = {
    "Conv": 2,
    "Div": 2,
    "Pow": 2,
    "Mul": 2,
    "QuantizeLinear": 2,
    "DequantizeLinear": 2,
    "Constant": 0,
}
"""The fewest inputs; any other operator has one."""
DOMAINS = ("", "ai.onnx", "com.microsoft")
"""ONNX Runtime can write its quantize and dequantize nodes under its own name."""
MAX_NODES = 2000
"""Five times those of a quantized LPRNet; what has more is another network."""


@dataclass(frozen=True)
class OnnxGraph:
    """The main graph of a file, its nodes in an order in which they can run."""

    path: Path
    graph: ir.Graph
    image: ir.Value
    """The only input that is no constant."""
    metadata: str | None
    """The architecture as JSON, where the file was written by this project."""

    @property
    def result(self) -> ir.Value:
        """The only output."""
        return self.graph.outputs[0]

    def refusal(self, node: ir.Node, problem: str) -> UserError:
        """The sentence that names the file and the node."""
        return UserError(f"{self.path}: the {node.op_type} {label(node)} {problem}")

    def array(self, value: ir.Value | None) -> NDArray[Any] | None:
        """The constant `value`; None where it is none. Raises `UserError` for damaged ones, and for
        NaN and infinity.
        """
        if value is None:
            return None
        try:
            tensor = ir.convenience.get_const_tensor(value)
            if tensor is None:
                return None
            if isinstance(tensor, ir.ExternalTensor):
                raise UserError(
                    f"{self.path}: {value.name} lies in another file, which is not read; save the "
                    "model as one file, with onnx.save(model, file, save_as_external_data=False)"
                )
            if isinstance(tensor, ir.serde.TensorProtoTensor):
                # Its own `numpy` takes a tensor without values for zeros.
                values = onnx.numpy_helper.to_array(tensor.raw)
            else:
                values = np.asarray(tensor.numpy())
        except UserError:
            raise
        except Exception as error:  # a hostile tensor can fail in any way its parser knows
            raise UserError(
                f"{self.path}: the constant {value.name} does not hold what its shape says; export "
                "the model again"
            ) from error
        if values.dtype.kind not in "fiub":
            raise UserError(
                f"{self.path}: {value.name} is {values.dtype}; export the model in float32"
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(
                f"{self.path}: {value.name} holds NaN or infinity; export or train it again"
            )
        return values

    def operand(self, node: ir.Node, index: int) -> NDArray[Any] | None:
        """Input `index` of `node` as a constant; None where it is none or left out."""
        return self.array(node.inputs[index]) if index < len(node.inputs) else None

    def constant(self, node: ir.Node, index: int) -> NDArray[Any]:
        """Input `index` of `node`, which must be a constant."""
        values = self.operand(node, index)
        if values is None:
            raise self.refusal(node, f"has no constant as its input {index}; export it as one")
        return values

    def integers(self, node: ir.Node, name: str, default: list[int]) -> list[int]:
        """An attribute of integers, or of one; `default` where it is not given."""
        value = attribute(node, name)
        if value is None:
            return default
        integers = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(entry, int) for entry in integers):
            raise self.refusal(node, f"has a {name} that is no integer; export the model again")
        return integers

    def padding(self, node: ir.Node) -> list[int]:
        """Of a convolution or a pool of two dimensions: top, left, bottom, right."""
        if attribute(node, "auto_pad") not in (None, "NOTSET"):
            raise self.refusal(node, "pads by auto_pad; export the model with explicit pads")
        return self.integers(node, "pads", [0, 0, 0, 0])

    def axes(self, node: ir.Node, rank: int) -> list[int]:
        """Of a reduction, a Squeeze or an Unsqueeze: its attribute or its second input, counted
        from 0 of `rank` dimensions and sorted; none: all.
        """
        axes = self.integers(node, "axes", [])
        if not axes and len(node.inputs) > 1 and node.inputs[1] is not None:
            axes = self.constant(node, 1).reshape(-1).tolist()
        if not axes and self.integers(node, "noop_with_empty_axes", [0]) != [0]:
            raise self.refusal(node, "reduces nothing; export the model again")
        return sorted(int(axis) % rank for axis in axes)


def label(node: ir.Node) -> str:
    """What a viewer calls `node`."""
    return str(node.name or (node.outputs[0].name if node.outputs else "without a name"))


def attribute(node: ir.Node, name: str) -> Any:
    """The value of an attribute; None where it is not given."""
    found = node.attributes.get(name)
    return None if found is None else found.value


def read_graph(path: Path) -> OnnxGraph:
    """The graph of the ONNX file `path`. Raises `UserError` for one that cannot be read, is no
    graph of one image and one result, or whose nodes do not follow from each other.
    """
    check_size(path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        _check(path, model.graph)
        _without_functions(path, model)
        graph = ir.from_proto(_with_shapes(model)).graph
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a hostile file can fail in any way its parser knows
        raise UserError(
            f"{path} is not a readable ONNX file: it is truncated or something else; export it "
            "again"
        ) from error
    (image,) = (value for value in graph.inputs if value.name not in graph.initializers)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return OnnxGraph(path, graph, image, metadata.get(METADATA))


def _check(path: Path, graph: onnx.GraphProto) -> None:
    """Raise as `read_graph`; `ValueError` for names that are no text."""
    if not all(isinstance(name, str) for name in _names(graph)):
        raise ValueError("a name is not UTF-8")
    tensors = {tensor.name for tensor in graph.initializer}
    images = [value.name for value in graph.input if value.name not in tensors]
    if len(images) != 1 or len(graph.output) != 1:
        raise UserError(
            f"{path} has {len(images)} inputs and {len(graph.output)} outputs, and LPRNet one "
            "image and its logits; give the ONNX file of an LPRNet"
        )
    if len(graph.node) > MAX_NODES:
        raise UserError(
            f"{path} has {len(graph.node)} nodes, more than any LPRNet; give the ONNX file of an "
            "LPRNet"
        )
    computed: set[str] = set()
    for node in graph.node:
        known = all(
            name in computed or name in tensors or name in (*images, "") for name in node.input
        )
        known &= len(node.input) >= OPERANDS.get(node.op_type, 1) and len(node.output) > 0
        if node.domain not in DOMAINS or not known or computed & set(node.output):
            name = node.name or (node.output[0] if node.output else "without a name")
            raise UserError(
                f"{path}: the {node.op_type} {name} is of a foreign domain or reads what no "
                "earlier node computes; export the model again"
            )
        computed |= set(node.output)
    if graph.output[0].name not in computed:
        raise UserError(
            f"{path}: nothing computes {graph.output[0].name!r}; give the complete ONNX file of an "
            "LPRNet"
        )


def _without_functions(path: Path, model: onnx.ModelProto) -> None:
    """Take out the operators that the file defines itself, which are not read: of a few that call
    each other twice, ONNX's inference of shapes never ends. Raises `UserError` where the graph
    calls one.
    """
    own = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        if any((domain, node.op_type) in own for domain in DOMAINS):
            raise UserError(
                f"{path}: the {node.op_type} {node.name or node.output[0]} is defined by the file "
                "itself; export the model without functions"
            )
    del model.functions[:]


def _names(graph: onnx.GraphProto) -> Iterator[object]:
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (entry.name for entry in node.attribute)
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the shapes that ONNX infers, in place of those that the file states; without
    any where ONNX finds a mistake.
    """
    del model.graph.value_info[:]
    try:
        return onnx.shape_inference.infer_shapes(model)
    except Exception:  # a hostile file can fail in any way
        return model
