"""An ONNX LPRNet as our own: float32 as a model, static int8 (QDQ) as a `QuantizedLPRNet`."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lprnet.model.conv_graph import CONTAINER, LAYERS, weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.quantized import QuantizedLPRNet, QuantizedWeight
from lprnet.onnx_import.convolution import Convolution
from lprnet.onnx_import.edge import REMEDY_QUANTIZE_STATIC
from lprnet.onnx_import.graph import read_graph
from lprnet.onnx_import.match_lprnet import OnnxLPRNet, find_lprnet
from lprnet.onnx_import.qdq import read_layers
from lprnet.onnx_import.restore_channels import in_full_shape


@torch.no_grad()
def load_onnx(path: Path) -> LPRNet | QuantizedLPRNet:
    """The network of the ONNX file `path`, in evaluation mode and LPRNet's shapes.

    Raises `UserError` where it is no LPRNet, or a quantized one whose integers mean anything that
    ours cannot mean exactly.
    """
    found = find_lprnet(read_graph(path))
    model = LPRNet(context_means=found.context_means).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0  # with it, the norm of a new LPRNet is exactly the identity
    convolutions = in_full_shape(found, model)
    if not any(found.edges[layer.name].steps for layer in LAYERS):
        for name, one in convolutions.items():
            _write(found, model, name, one)
        return model
    layers, levels = read_layers(found, convolutions)
    for name, layer in layers.items():
        weight, bias = weight_and_bias(model, name)
        scale = layer.weight.scale[:, None, None, None]
        weight.copy_(torch.from_numpy(layer.weight.values * scale))
        bias.copy_(torch.from_numpy(layer.weight.bias))
    return QuantizedLPRNet(layers, _container(found, model, convolutions[CONTAINER]), levels, model)


def _write(found: OnnxLPRNet, model: LPRNet, name: str, one: Convolution) -> None:
    """The float32 weights of `one` into `model`."""
    if one.scale is not None or one.bias_scale is not None:
        raise found.graph.refusal(
            one.node,
            "has int8 weights and reads float32; for integers throughout use "
            f"{REMEDY_QUANTIZE_STATIC}",
        )
    weight, bias = weight_and_bias(model, name)
    weight.copy_(torch.from_numpy(one.weight))
    bias.copy_(torch.from_numpy(one.bias))


def _container(found: OnnxLPRNet, model: LPRNet, one: Convolution) -> QuantizedWeight | None:
    """The container, written into `model`; integers where it has them and no constants of the
    context norm, which are folded into float32 weights.
    """
    if one.bias_scale is not None:
        raise found.graph.refusal(
            one.node,
            "has an int8 bias and reads float32; for integers throughout use "
            f"{REMEDY_QUANTIZE_STATIC}",
        )
    weight, bias = weight_and_bias(model, CONTAINER)
    bias.copy_(torch.from_numpy(one.bias))
    if one.scale is None:
        weight.copy_(torch.from_numpy(one.weight))
        return None
    weight.copy_(torch.from_numpy(one.weight * one.scale[:, None, None, None]))
    if set(found.context_means or (1.0,)) != {1.0}:
        return None
    return QuantizedWeight(one.weight, one.scale, one.bias.astype(np.float32))
