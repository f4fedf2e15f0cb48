"""What the quantized network computes, exactly: the specification of the compiled one.

Per convolution of the backbone, with `x` unsigned and `W` signed integers:

    acc = sum(W * x) + bias                                  exact, fits in int32
    q   = clamp(rint(float32(acc) * multiplier), 0, levels)  of the exact product, ties to even

A layer that reads on a grid of its own looks its `x` up on it first
(`schedules/requantize_table.py`). Max pools choose among integers. An average pool is the exact
integer sum over its window; it meets a float for the first time at the exit, where it is multiplied
by the layer's output scale over the window's size, divided by the context norm, and read by the
float32 container.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lprnet.compression.compact import Compact, compact, padding
from lprnet.compression.fold_constants import living_channels
from lprnet.model.conv_graph import CONTAINER, LAYERS, Layer, weight_and_bias
from lprnet.model.lprnet import CONTEXT_POOLS
from lprnet.model.quantized import IMAGE_SCALE, IMAGE_ZERO_POINT, Quantization
from schedules.requantize_table import requantization

PIXEL_LEVELS = 255
"""The largest integer a convolution can read."""


@dataclass(frozen=True)
class IntegerLPRNet:
    """A quantization, ready to run."""

    small: Compact
    """Integer weights and biases, as float64."""
    multipliers: dict[str, Tensor]
    scales: dict[str, float]
    widths: dict[str, int]
    """Output channels in LPRNet's full shape."""
    tables: dict[str, Tensor]
    """(256,), of the layers that do not read their source's integers as they are."""
    levels: int
    context_means: tuple[float, ...] | None
    """Constants of the context norm; None: the mean square of each image's own maps."""

    def compute(self, layer: Layer, x: Tensor) -> Tensor:
        """One convolution, requantized: integers in and out, held in float32.

        No sum of products reaches 2**24, below which float32 is exact in any order, or the
        products are summed in float64.
        """
        weight, bias = self.small.weights[layer.name], self.small.biases[layer.name]
        largest = float(weight.abs().sum(dim=(1, 2, 3)).max()) * PIXEL_LEVELS
        if layer.name in self.tables:
            x = self.tables[layer.name][x.long()]
        exact = torch.float32 if largest < 2**24 else torch.float64
        products = F.conv2d(x.to(exact), weight.to(exact), padding=padding(weight))
        acc = products.double() + bias[:, None, None]
        scaled = acc.float().double() * self.multipliers[layer.name].double()[:, None, None]
        return scaled.round().clamp(0, self.levels).float()

    def context_sums(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """`(N, 24, 94, 3)` uint8 to the four window sums `(N, C, 4, 18)`, integers."""
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        outputs = self.small.activations(image, self.compute)
        sums = []
        for layer in LAYERS:
            if layer.context is not None:
                pool = CONTEXT_POOLS[layer.context]
                x = outputs[layer.name].double()
                sums.append(x if pool is None else F.avg_pool2d(x, *pool, divisor_override=1))
        return sums

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(N, 24, 94, 3)` uint8 to `(N, 68, 18)` float32, what follows the sums in float64."""
        means = [
            sums.mean(dim=2) * self.scales[layer.name] / _window(layer) / self._norm(layer, sums)
            for layer, sums in zip(_CONTEXTS, self.context_sums(pixels), strict=True)
        ]
        weight, bias = self.small.weights[CONTAINER], self.small.biases[CONTAINER]
        logits = F.conv1d(torch.cat(means, dim=1), weight[..., 0], bias)
        return logits.float().numpy()

    def _norm(self, layer: Layer, sums: Tensor) -> Tensor | float:
        """What the context of `layer` is divided by; channels that are cut count as zeros."""
        if self.context_means is not None:
            assert layer.context is not None
            return self.context_means[layer.context]
        context = sums * self.scales[layer.name] / _window(layer)
        values = self.widths[layer.name] * context[0, 0].numel()
        return context.square().sum(dim=(1, 2, 3))[:, None, None] / values


_CONTEXTS = tuple(layer for layer in LAYERS if layer.context is not None)


def _window(layer: Layer) -> int:
    """How many values an average pool sums up."""
    pool = None if layer.context is None else CONTEXT_POOLS[layer.context]
    return 1 if pool is None else pool[0][0] * pool[0][1]


@torch.no_grad()
def integer_network(quantization: Quantization) -> IntegerLPRNet:
    """The integers of `quantization`, cut to the channels that live."""
    model = copy.deepcopy(quantization.model).double()
    multipliers = {}
    for name, layer in quantization.layers.items():
        weight, bias = weight_and_bias(model, name)
        weight.copy_(torch.from_numpy(layer.weight.values))
        bias.copy_(torch.from_numpy(layer.bias))
        multipliers[name] = torch.from_numpy(layer.multiplier)
    living = living_channels(model)
    small = compact(model)
    multipliers = {name: multiplier[living[name]] for name, multiplier in multipliers.items()}
    scales = {name: layer.output_scale for name, layer in quantization.layers.items()}
    widths = {name: len(layer.weight.scale) for name, layer in quantization.layers.items()}
    return IntegerLPRNet(
        small,
        multipliers,
        scales,
        widths,
        _tables(quantization),
        quantization.levels,
        quantization.model.context_means,
    )


def _tables(quantization: Quantization) -> dict[str, Tensor]:
    """What rounds the input of each layer that reads on a grid of its own."""
    tables = {}
    for layer in LAYERS:
        grid = quantization.read_on(layer)
        if grid is None:
            continue
        if layer.source is None:
            table = requantization(IMAGE_SCALE, IMAGE_ZERO_POINT, *grid, PIXEL_LEVELS)
        else:
            there = quantization.layers[layer.source].output_scale
            table = requantization(there, 0, *grid, quantization.levels)
        tables[layer.name] = torch.from_numpy(table).float()
    return tables
