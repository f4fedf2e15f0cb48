"""An ONNX LPRNet as our own: float32 as a model, static int8 (QDQ) as a `QuantizedLPRNet`."""

from pathlib import Path

import numpy as np
import torch

from lprnet.model.architecture import CONTAINER
from lprnet.model.checkpoint import Stated, described
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.fold_preprocessing import OWN, fold_preprocessing
from lprnet.model.lprnet import LPRNet
from lprnet.model.quantized import QuantizedLPRNet, QuantizedWeight
from lprnet.onnx_import.convolution import Convolution
from lprnet.onnx_import.edge import REMEDY_QUANTIZE_STATIC
from lprnet.onnx_import.graph import read_graph
from lprnet.onnx_import.match_lprnet import OnnxLPRNet, find_lprnet
from lprnet.onnx_import.normalise import normalise
from lprnet.onnx_import.qdq import check_quantizer, read_layers
from lprnet.support.errors import UserError


@torch.no_grad()
def load_onnx(path: Path, stated: Stated | None = None) -> LPRNet | QuantizedLPRNet:
    """The network of the ONNX file `path`, in evaluation mode.

    What the graph does not say, which is the alphabet and what its pixels are, is read from
    `stated`, then from the metadata of a file of this project, and is as in the published network
    otherwise. Raises `UserError` where it is no LPRNet, or a quantized one whose integers mean
    anything that ours cannot mean exactly.
    """
    graph = read_graph(path)
    check_quantizer(graph)
    normalise(graph)
    stated = stated or Stated()
    base, alphabet = described(path, stated, graph.metadata, has_pools=True)
    found = find_lprnet(graph, base, alphabet)
    image = found.architecture.image_format
    if stated.size not in (None, (image.width, image.height)):
        raise UserError(
            f"{path} reads {image.width}x{image.height} images; leave out --size, or export the "
            "model for that size"
        )
    try:
        base.preprocessing.check_channels(image.channels)
        model = LPRNet(found.architecture, found.context_means).eval()
    except ValueError as error:
        raise UserError(f"{path} cannot be built: {error}") from error
    if not any(edge.steps for edge in found.edges.values()):
        for name, one in found.convolutions.items():
            _write(found, model, name, one)
        try:
            return fold_preprocessing(model)
        except ValueError as error:
            raise UserError(f"{path} cannot be built: {error}") from error
    said = base.preprocessing
    if (said.order, said.offset, said.scale) != (OWN.order, OWN.offset, OWN.scale):
        raise UserError(
            f"{path} is quantized, and built as it is; quantize a network that reads BGR pixels by "
            "(p - 127.5) / 128, or give the float network it was made from"
        )
    layers = read_layers(found)
    for name, layer in layers.items():
        weight, bias = weight_and_bias(model, name)
        scale = layer.weight.scale[:, None, None, None]
        weight.copy_(torch.from_numpy(layer.weight.values * scale))
        bias.copy_(torch.from_numpy(layer.weight.bias))
    return QuantizedLPRNet(layers, _container(found, model), model)


def _write(found: OnnxLPRNet, model: LPRNet, name: str, one: Convolution) -> None:
    """The float32 weights of `one` into `model`."""
    if one.scale is not None or one.bias_scale is not None:
        raise found.graph.refusal(
            one.node,
            "has int8 weights and reads float32; for integers throughout use "
            f"{REMEDY_QUANTIZE_STATIC}",
        )
    weight, bias = weight_and_bias(model, name)
    weight.copy_(torch.tensor(one.weight))
    bias.copy_(torch.tensor(one.bias))


def _container(found: OnnxLPRNet, model: LPRNet) -> QuantizedWeight | None:
    """The container, written into `model`; integers where it has them and no constants of the
    context norm, which are folded into float32 weights.
    """
    one = found.convolutions[CONTAINER]
    if one.bias_scale is not None:
        raise found.graph.refusal(
            one.node,
            "has an int8 bias and reads float32; for integers throughout use "
            f"{REMEDY_QUANTIZE_STATIC}",
        )
    weight, bias = weight_and_bias(model, CONTAINER)
    bias.copy_(torch.tensor(one.bias))
    if one.scale is None:
        weight.copy_(torch.tensor(one.weight))
        return None
    weight.copy_(torch.from_numpy(one.weight * one.scale[:, None, None, None]))
    if set(found.context_means or (1.0,)) != {1.0}:
        return None
    return QuantizedWeight(one.weight, one.scale, one.bias.astype(np.float32))
