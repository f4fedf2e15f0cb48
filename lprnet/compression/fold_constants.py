"""LPRNet with every constant folded, still in LPRNet's shapes.

Pruning and quantization start here: they judge a channel by what it computes, and a scale of batch
norm or of the context norm left beside the convolution would hide it.
"""

import copy

import torch
from torch import Tensor, nn

from lprnet.model.conv_graph import (
    CONTAINER,
    LAYERS,
    NAMES,
    Layer,
    check_finite,
    context_columns,
    convolution,
    reader,
    weight_and_bias,
)
from lprnet.model.lprnet import POSITIONS, LPRNet
from lprnet.runtime.alphabet import CLASSES
from lprnet.support.errors import UserError

NEGLIGIBLE = 1e-8
"""A channel whose absolute weights sum to less than this is the constant of its bias: no input of
the network (all of order 1 to 10) moves it by more than float32 rounds off elsewhere. On the public
checkpoint the sums are either below 1e-9 or above 1e-4."""

Tensors = dict[str, tuple[Tensor, Tensor]]
"""Convolution name to its weight (OIHW) and bias (O,)."""


@torch.no_grad()
def fold(model: LPRNet) -> LPRNet:
    """A copy with the same logits, up to rounding, whose channels are what their weights say.

    Batch norms are folded into their convolutions (what is left of them is the identity), the
    constant context means into the container, whose own means become 1. A channel that is constant
    is folded into the biases behind it, except where zero padding stands between; it, and a channel
    that nobody reads, become zero in every tensor. Exact zeros thus mark what a compiler may drop.

    Raises `UserError` if the model holds NaN or infinity, or still normalises each image by itself.
    """
    check_finite(model)
    if model.context_means is None:
        raise UserError(
            "the model still normalises its contexts per image; calibrate its context means first"
        )
    folded = copy.deepcopy(model).eval()
    tensors = _without_norms(folded)
    weight, bias = (tensor.double() for tensor in weight_and_bias(folded, CONTAINER))
    for columns, mean in zip(context_columns(folded), model.context_means, strict=True):
        weight[:, columns] /= mean
    tensors[CONTAINER] = (weight, bias)
    folded.context_means = (1.0,) * len(model.context_means)
    for layer in LAYERS:
        _push_constants(folded, tensors, layer)
    for layer in reversed(LAYERS):
        _drop_unread(folded, tensors, layer)
    for name in (*NAMES, CONTAINER):
        for parameter, value in zip(weight_and_bias(folded, name), tensors[name], strict=True):
            value[value.abs() < torch.finfo(torch.float32).tiny] = 0.0  # subnormals are slow
            parameter.copy_(value)
    return folded


def _without_norms(model: LPRNet) -> Tensors:
    """Weights and biases in float64 with the batch norms folded in; `model`'s become identities."""
    tensors = {}
    for layer in LAYERS:
        weight, bias = (tensor.double() for tensor in weight_and_bias(model, layer.name))
        if layer.norm is not None:
            norm = model.get_submodule(layer.norm)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = weight * scale[:, None, None, None]
            bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()
            norm.weight.fill_((1.0 + norm.eps) ** 0.5)
            norm.bias.zero_()
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0)
        tensors[layer.name] = (weight.clone(), bias.clone())
    return tensors


def read_weights(model: LPRNet, tensors: Tensors, layer: Layer) -> list[tuple[str, Tensor, slice]]:
    """Every place that reads `layer`'s output: the reading convolution, the weights it reads with
    (a view, O x channels x kernel) and the channels of `layer` that these belong to."""
    places = []
    behind = reader(layer)
    if behind is not None:
        places.append((behind.name, tensors[behind.name][0], slice(None, None, behind.stride)))
    if layer.context is not None:
        columns = list(context_columns(model))[layer.context]
        places.append((CONTAINER, tensors[CONTAINER][0][:, columns], slice(None)))
    return places


def _push_constants(model: LPRNet, tensors: Tensors, layer: Layer) -> None:
    """Fold `layer`'s constant channels into the biases of whoever reads them."""
    weight, bias = tensors[layer.name]
    constant = weight.abs().sum(dim=(1, 2, 3)) < NEGLIGIBLE
    places = read_weights(model, tensors, layer)
    padded = any(any(convolution(model, name).padding) for name, _, _ in places)
    if padded:
        constant &= bias <= 0
    value = torch.where(constant, bias.clamp(min=0), torch.zeros_like(bias))
    for name, read, channels in places:
        reading = read.sum(dim=(2, 3))
        tensors[name][1].add_(reading @ value[channels])
        read[:, constant[channels]] = 0.0
    weight[constant] = 0.0
    bias[constant] = 0.0


def _drop_unread(model: LPRNet, tensors: Tensors, layer: Layer) -> None:
    """Zero `layer`'s channels that all their readers multiply by zero."""
    weight, bias = tensors[layer.name]
    unread = torch.ones(len(bias), dtype=torch.bool)
    for _, read, channels in read_weights(model, tensors, layer):
        unread[channels] &= (read == 0).all(dim=3).all(dim=2).all(dim=0)
    weight[unread] = 0.0
    bias[unread] = 0.0


def living_channels(model: LPRNet) -> dict[str, Tensor]:
    """Of a folded model: convolution name to the sorted indices of its channels that are not zero.

    A channel with zero weights but a positive bias lives: padding stands behind it. Channel 0 of a
    layer stands in where nothing would be left for the reader.
    """
    living = {}
    for layer in LAYERS:
        weight, bias = weight_and_bias(model, layer.name)
        alive = (weight != 0).flatten(1).any(dim=1) | (bias > 0)
        behind = reader(layer)
        if not alive[:: 1 if behind is None else behind.stride].any():
            alive[0] = True
        living[layer.name] = alive.nonzero().flatten()
    return living


def input_channels(living: dict[str, Tensor], layer: Layer) -> Tensor:
    """Which of `layer`'s input channels live, numbered as its weight numbers them."""
    if layer.source is None:
        return torch.arange(3)
    alive = living[layer.source]
    return alive[alive % layer.stride == 0] // layer.stride


def macs(model: LPRNet) -> int:
    """Multiply-accumulates per image of a folded `model` without its dead channels.

    Counts the living channels of every convolution, and the container behind the mean over height,
    as the compiled network computes it; the public checkpoint has 66.7 million left of 144.4.
    """
    living = living_channels(model)
    total = 0
    for layer in LAYERS:
        taps = weight_and_bias(model, layer.name)[0][0, 0].numel()
        rows, columns = len(living[layer.name]), len(input_channels(living, layer))
        total += layer.pixels * rows * columns * taps
    contexts = sum(len(living[layer.name]) for layer in LAYERS if layer.context is not None)
    return total + POSITIONS * CLASSES * contexts
