"""What the quantized network computes, exactly: the specification of the compiled one.

Per convolution of the backbone, with `x` unsigned and `W` signed integers:

    acc = sum(W * x) + bias                                  exact, fits in int32
    q   = clamp(rint(float32(acc) * multiplier), 0, levels)  of the exact product, ties to even

Max pools choose among integers. An average pool is the exact integer sum over its window; it meets
a float for the first time at the exit, where it is multiplied by the layer's output scale over the
window's size and read by the float32 container.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lprnet.compact import Compact, compact, padding
from lprnet.fold import living_channels
from lprnet.model import CONTEXT_POOLS
from lprnet.quantization import Quantization
from lprnet.topology import CONTAINER, LAYERS, Layer, weight_and_bias

PIXEL_LEVELS = 255
"""The largest integer a convolution can read."""


@dataclass(frozen=True)
class IntegerLPRNet:
    """A quantization, ready to run."""

    small: Compact
    """Integer weights and biases, as float64."""
    multipliers: dict[str, Tensor]
    scales: dict[str, float]
    levels: int

    def compute(self, layer: Layer, x: Tensor) -> Tensor:
        """One convolution, requantized: integers in and out, held in float32.

        No sum of products reaches 2**24, below which float32 is exact in any order, or the
        products are summed in float64.
        """
        weight, bias = self.small.weights[layer.name], self.small.biases[layer.name]
        largest = float(weight.abs().sum(dim=(1, 2, 3)).max()) * PIXEL_LEVELS
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
        """`(N, 24, 94, 3)` uint8 to `(N, 68, 18)` float32, the container evaluated in float64."""
        means = [
            sums.mean(dim=2) * self.scales[layer.name] / _window(layer)
            for layer, sums in zip(_CONTEXTS, self.context_sums(pixels), strict=True)
        ]
        weight, bias = self.small.weights[CONTAINER], self.small.biases[CONTAINER]
        logits = F.conv1d(torch.cat(means, dim=1), weight[..., 0], bias)
        return logits.float().numpy()


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
    return IntegerLPRNet(small, multipliers, scales, quantization.levels)
