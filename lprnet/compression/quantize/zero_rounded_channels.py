"""Channels that int8 weights do not hear: all that the next convolution multiplies them by is less
than half a step.

Weight decay leaves many of them. Rounding alone would not drop them: it makes up for its own errors
with whatever weights it has, and half a step of a thousand idle weights is noise and work.
"""

from dataclasses import replace

import torch
from torch import Tensor

from lprnet.compression.compact import Compact, expand
from lprnet.compression.fold_constants import living_channels
from lprnet.compression.quantize.int16_pairs import pair_scales
from lprnet.model.conv_graph import LAYERS, reader, weight_and_bias
from lprnet.model.lprnet import LPRNet


def audible_channels(small: Compact) -> dict[str, Tensor]:
    """Layer to the sorted indices of its channels, of `small`'s, that a reader hears.

    A layer that feeds a context, or the container alone, keeps all; so does one of whose channels
    not one is heard. From the last layer to the first: what only a silent channel reads is silent.
    """
    audible = {name: torch.arange(len(bias)) for name, bias in small.biases.items()}
    for layer in reversed(LAYERS):
        behind = reader(layer)
        if behind is None or layer.context is not None:
            continue
        weight = small.weights[behind.name][audible[behind.name]]
        steps = weight.abs() / pair_scales(weight)[:, None, None, None]
        heard = (steps > 0.5).flatten(2).any(dim=2).any(dim=0)
        if heard.any():
            audible[layer.name] = small.takes[behind.name][heard]
    return audible


def cut(small: Compact, kept: dict[str, Tensor]) -> Compact:
    """`small` with the channels `kept` of each layer."""
    weights, biases, takes = dict(small.weights), dict(small.biases), {}
    for layer in LAYERS:
        rows = kept[layer.name]
        weight = weights[layer.name][rows]
        if layer.source is not None:
            source, taken = kept[layer.source], small.takes[layer.name]
            weight = weight[:, torch.isin(taken, source)]
            takes[layer.name] = torch.isin(source, taken).nonzero().flatten()
        weights[layer.name], biases[layer.name] = weight, biases[layer.name][rows]
    return replace(small, weights=weights, biases=biases, takes=takes)


def silence(model: LPRNet, small: Compact, kept: dict[str, Tensor]) -> LPRNet:
    """`small`, which was cut from `model`, in its shapes, all of the channels not `kept` zero."""
    quiet = expand(small, model)
    living = living_channels(model)
    for layer in LAYERS:
        gone = living[layer.name][
            ~torch.isin(torch.arange(len(living[layer.name])), kept[layer.name])
        ]
        for tensor in weight_and_bias(quiet, layer.name):
            tensor[gone] = 0.0
        behind = reader(layer)
        if behind is not None:
            read = gone[gone % behind.stride == 0] // behind.stride
            weight_and_bias(quiet, behind.name)[0][:, read] = 0.0
    return quiet
