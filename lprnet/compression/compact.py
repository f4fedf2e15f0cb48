"""A folded LPRNet cut to its living channels: what calibration, refits and fine-tuning run.

Less than half the arithmetic of the full shapes on the public checkpoint, and far less after
pruning; `expand` writes the tensors back where they came from.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.compression.fold_constants import input_channels, living_channels
from lprnet.model.conv_graph import CONTAINER, LAYERS, Layer, context_columns, weight_and_bias
from lprnet.model.lprnet import CONTEXT_POOLS, LPRNet

Compute = Callable[[Layer, Tensor], Tensor]
"""A convolution with its ReLU: `(N, C, H, W)` to `(N, O, H', W')`."""


@dataclass(frozen=True)
class Compact:
    """Weights (OIHW) and biases (O,) of the living channels, by convolution name."""

    weights: dict[str, Tensor]
    biases: dict[str, Tensor]
    takes: dict[str, Tensor]
    """Convolution name to the channels of its (cut) source that it reads, int64."""

    def compute(self, layer: Layer, x: Tensor) -> Tensor:
        """The float convolution and its ReLU."""
        weight, bias = self.weights[layer.name], self.biases[layer.name]
        return F.conv2d(x, weight, bias, padding=padding(weight)).relu()

    def activations(self, x: Tensor, compute: Compute | None = None) -> dict[str, Tensor]:
        """What every convolution of the backbone puts out, after ReLU, by name.

        `x` is whatever the first `compute` reads, `(N, 3, 24, 94)`; `compute` defaults to this
        network's own float convolutions.
        """
        outputs: dict[str, Tensor] = {}
        for layer in LAYERS:
            x = x if layer.source is None else self.input(layer, outputs[layer.source])
            outputs[layer.name] = (compute or self.compute)(layer, x)
        return outputs

    def input(self, layer: Layer, source: Tensor) -> Tensor:
        """What `layer` reads of its source's output: channels taken, then max-pooled."""
        take = self.takes[layer.name]
        x = source if len(take) == source.shape[1] else source[:, take]
        return x if layer.pool is None else F.max_pool2d(x, 3, (1, layer.pool[1]))

    def logits(self, x: Tensor, compute: Compute | None = None) -> Tensor:
        """`(N, 3, 24, 94)` to `(N, 68, 18)`."""
        pooled = context_means(self.activations(x, compute))
        weight, bias = self.weights[CONTAINER], self.biases[CONTAINER]
        return F.conv1d(torch.cat(pooled, dim=1), weight[..., 0], bias)


def before_relu(small: Compact, x: Tensor) -> dict[str, Tensor]:
    """What every convolution of the backbone puts out before its ReLU, by name."""
    outputs = {}

    def record(layer: Layer, x: Tensor) -> Tensor:
        weight = small.weights[layer.name]
        y = F.conv2d(x, weight, small.biases[layer.name], padding=padding(weight))
        outputs[layer.name] = y
        return y.relu()

    small.activations(x, record)
    return outputs


def padding(weight: Tensor) -> tuple[int, int]:
    """LPRNet pads its 3x1 and 1x3 convolutions to keep the size, and no other one."""
    kernel = (weight.shape[2], weight.shape[3])
    return (kernel[0] // 2, kernel[1] // 2) if kernel in ((3, 1), (1, 3)) else (0, 0)


def context_means(outputs: dict[str, Tensor]) -> list[Tensor]:
    """The four context maps `(N, C, 18)`, averaged over their pool window and over height."""
    maps = []
    for layer in LAYERS:
        if layer.context is not None:
            pool = CONTEXT_POOLS[layer.context]
            x = outputs[layer.name]
            maps.append((x if pool is None else F.avg_pool2d(x, *pool)).mean(dim=2))
    return maps


@torch.no_grad()
def compact(model: LPRNet) -> Compact:
    """The living channels of a folded `model`; its tensors are copies, of the model's dtype."""
    living = living_channels(model)
    weights, biases, takes = {}, {}, {}
    for layer in LAYERS:
        weight, bias = weight_and_bias(model, layer.name)
        rows, columns = living[layer.name], input_channels(living, layer)
        weights[layer.name] = weight[rows][:, columns].clone()
        biases[layer.name] = bias[rows].clone()
        if layer.source is not None:
            alive = living[layer.source]
            takes[layer.name] = (alive % layer.stride == 0).nonzero().flatten()
    weight, bias = weight_and_bias(model, CONTAINER)
    weights[CONTAINER] = weight[:, _container_columns(model, living)].clone()
    biases[CONTAINER] = bias.clone()
    return Compact(weights, biases, takes)


@torch.no_grad()
def expand(small: Compact, model: LPRNet) -> LPRNet:
    """A copy of `model`, which `small` was cut from, with `small`'s tensors in their places."""
    living = living_channels(model)
    full = copy.deepcopy(model)
    for layer in LAYERS:
        weight, bias = weight_and_bias(full, layer.name)
        rows, columns = living[layer.name], input_channels(living, layer)
        weight[rows[:, None], columns] = small.weights[layer.name]
        bias[rows] = small.biases[layer.name]
    weight, bias = weight_and_bias(full, CONTAINER)
    weight[:, _container_columns(model, living)] = small.weights[CONTAINER]
    bias.copy_(small.biases[CONTAINER])
    return full


def _container_columns(model: LPRNet, living: dict[str, Tensor]) -> Tensor:
    """The container's living input channels, in order."""
    names = [layer.name for layer in LAYERS if layer.context is not None]
    return torch.cat(
        [
            columns.start + living[name]
            for name, columns in zip(names, context_columns(model), strict=True)
        ]
    )
