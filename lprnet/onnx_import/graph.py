"""An ONNX file as a graph to walk backwards: read once, and nothing in it trusted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lprnet.model.checkpoint_content import check_size
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


@dataclass(frozen=True)
class OnnxGraph:
    """The main graph of a file, its nodes in an order in which they can run."""

    path: Path
    image: str
    """The only input that is no constant."""
    image_shape: tuple[int, ...]
    """0 where it is not fixed."""
    result: str
    origins: dict[str, NodeProto]
    """The node that computes each tensor."""
    tensors: dict[str, TensorProto]
    """Constants, not yet looked at."""

    def refusal(self, node: NodeProto, problem: str) -> UserError:
        """The sentence that names the file and the node."""
        return UserError(f"{self.path}: the {node.op_type} {label(node)} {problem}")

    def array(self, name: str) -> NDArray[Any] | None:
        """The constant called `name`; None where it is none. Raises `UserError` for damaged ones,
        and for NaN and infinity.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            return None
        if tensor.data_location == TensorProto.EXTERNAL:
            raise UserError(
                f"{self.path}: {name} lies in another file, which is not read; save the model as "
                "one file, with onnx.save(model, file, save_as_external_data=False)"
            )
        try:
            values = np.asarray(numpy_helper.to_array(tensor))
        except Exception as error:  # a hostile tensor can fail in any way its parser knows
            raise UserError(
                f"{self.path}: the constant {name} does not hold what its shape says; export the "
                "model again"
            ) from error
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(f"{self.path}: {name} holds NaN or infinity; export or train it again")
        return values

    def constant(self, node: NodeProto, index: int) -> NDArray[Any]:
        """Input `index` of `node`, which must be a constant."""
        values = self.array(node.input[index]) if index < len(node.input) else None
        if values is None:
            raise self.refusal(node, f"has no constant as its input {index}; export it as one")
        return values

    def integers(self, node: NodeProto, name: str, default: list[int]) -> list[int]:
        """An attribute of integers, or of one; `default` where it is not given."""
        value = attribute(node, name)
        if value is None:
            return default
        integers = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, int) for entry in integers):
            raise self.refusal(node, f"has a {name} that is no integer; export the model again")
        return list(integers)

    def padding(self, node: NodeProto) -> list[int]:
        """Of a convolution or a pool of two dimensions: top, left, bottom, right."""
        if attribute(node, "auto_pad") not in (None, b"NOTSET"):
            raise self.refusal(node, "pads by auto_pad; export the model with explicit pads")
        return self.integers(node, "pads", [0, 0, 0, 0])


def label(node: NodeProto) -> str:
    """What a viewer calls `node`."""
    return str(node.name or (node.output[0] if node.output else "without a name"))


def attribute(node: NodeProto, name: str) -> Any:
    """The value of an attribute; None where it is not given."""
    for entry in node.attribute:
        if entry.name == name:
            try:
                return helper.get_attribute_value(entry)
            except ValueError:  # of a type that ONNX does not know
                return entry
    return None


def read_graph(path: Path) -> OnnxGraph:
    """The graph of the ONNX file `path`. Raises `UserError` for one that cannot be read, is no
    graph of one image and one result, or whose nodes do not follow from each other.
    """
    check_size(path)
    try:
        graph = onnx.load_model_from_string(path.read_bytes()).graph
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a hostile file can fail in any way its parser knows
        raise UserError(
            f"{path} is not a readable ONNX file: it is truncated or something else; export it "
            "again"
        ) from error
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    tensors |= dict(_constants(graph))
    images = [value.name for value in graph.input if value.name not in tensors]
    if len(images) != 1 or len(graph.output) != 1:
        raise UserError(
            f"{path} has {len(images)} inputs and {len(graph.output)} outputs, and LPRNet one "
            "image and its logits; give the ONNX file of an LPRNet"
        )
    origins: dict[str, NodeProto] = {}
    for node in graph.node:
        known = all(
            name in origins or name in tensors or name in (*images, "") for name in node.input
        )
        known &= len(node.input) >= OPERANDS.get(node.op_type, 1)
        if node.domain not in DOMAINS or not known or origins.keys() & set(node.output):
            raise UserError(
                f"{path}: the {node.op_type} {label(node)} is of a foreign domain or reads what no "
                "earlier node computes; export the model again"
            )
        if node.op_type != "Constant":
            origins |= dict.fromkeys(node.output, node)
    (image,) = (value for value in graph.input if value.name == images[0])
    shape = tuple(int(extent.dim_value) for extent in image.type.tensor_type.shape.dim)
    return OnnxGraph(path, image.name, shape, graph.output[0].name, origins, tensors)


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """What `Constant` nodes hold, as if it were an initializer."""
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
                value = attribute(node, name)
                if isinstance(value, TensorProto):
                    yield node.output[0], value
                elif value is not None:
                    dtype = np.float32 if "float" in name else np.int64
                    yield node.output[0], numpy_helper.from_array(np.asarray(value, dtype))
