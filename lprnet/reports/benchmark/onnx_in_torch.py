"""A reduced graph (`lprnet/compiler/relax_to_onnx.py`) as a PyTorch module, operator by
operator.
"""

from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F


class OnnxModule(nn.Module):
    """`images` `(N, 3, 24, 94)` to `logits` `(N, 68, 18)`.

    Raises `NotImplementedError` for an operator that reduced graphs do not contain.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        graph = onnx.load(str(file)).graph
        for constant in graph.initializer:
            tensor = torch.from_numpy(numpy_helper.to_array(constant).copy())
            self.register_buffer(constant.name, tensor)
        self.nodes = [
            (
                node.op_type,
                list(node.input),
                node.output[0],
                {a.name: helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in graph.node
        ]
        # Slices and squeezes have constant arguments: Python integers, not tensors.
        self.integers = {
            name: tuple(buffer.tolist())
            for name, buffer in self.named_buffers()
            if buffer.dtype == torch.int64
        }

    def forward(self, images: Tensor) -> Tensor:
        values = {"images": images, **dict(self.named_buffers())}
        for operator, inputs, output, attributes in self.nodes:
            values[output] = self._node(operator, [values[i] for i in inputs], inputs, attributes)
        return values["logits"]

    def _node(
        self, operator: str, x: list[Tensor], names: list[str], attributes: dict[str, Any]
    ) -> Tensor:
        match operator:
            case "Conv":
                top, left, bottom, right = attributes["pads"]
                assert (top, left) == (bottom, right)
                bias = x[2] if len(x) == 3 else None
                return F.conv2d(x[0], x[1], bias, attributes["strides"], (top, left))
            case "Relu":
                return x[0].relu()
            case "MaxPool":
                return F.max_pool2d(x[0], attributes["kernel_shape"], attributes["strides"])
            case "AveragePool":
                return F.avg_pool2d(x[0], attributes["kernel_shape"], attributes["strides"])
            case "Concat":
                return torch.cat(x, attributes["axis"])
            case "Gather":
                return x[0].index_select(attributes["axis"], x[1])
            case "Squeeze":
                return x[0].squeeze(self.integers[names[1]])
            case "Slice":
                (begin,), (end,), (axis,), (step,) = (self.integers[name] for name in names[1:])
                index = [slice(None)] * x[0].ndim
                index[axis] = slice(begin, end, step)
                return x[0][tuple(index)]
            case "Add":
                return x[0] + x[1]
            case _:
                raise NotImplementedError(operator)
