"""What the quantized network computes, exactly: the specification of the compiled one.

Per convolution of the backbone, with `x` unsigned and `W` signed integers:

    acc = sum(W * x) + bias                                exact, fits in int32
    q   = clamp(rint(float32(acc) * multiplier), 0, qmax)  of the exact product, ties to even

`qmax` is the layer's own. A layer that rounds its input first looks its `x` up in a table
(`schedules/requantize_table.py`). Max pools choose among integers. An average pool is the exact
integer sum over its window. The container, whose weights are integers that include the context
norm, sums each context exactly too. Its sums meet floats for the first time where they are
multiplied by the scales of weights and of the layer's output over the window's size, and added up
in float32, one context after another. Without context constants or with real weights, the window
sums are what becomes real.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lprnet.compression.compact import CompactNetwork, convolve
from lprnet.compression.quantize.quantized_network import QuantizedNetwork
from lprnet.model.architecture import CONTAINER, Conv
from lprnet.model.quantized import PIXEL_MAX
from schedules.requantize_table import requantization


@dataclass(frozen=True)
class IntegerReference:
    """A quantized network, ready to run."""

    integers: CompactNetwork
    """Integer weights and biases, as float64; of the container the real ones."""
    multipliers: dict[str, Tensor]
    """(O,), float64 of float32 values, from the accumulator to the output's integers."""
    tables: dict[str, Tensor]
    """(256,), of the layers that round their input first."""
    quantized: QuantizedNetwork

    def conv_relu(self, conv: Conv, x: Tensor) -> Tensor:
        """One convolution, requantized: integers in and out, held in float32.

        No sum of products reaches 2**24, below which float32 is exact in any order, or the
        products are summed in float64.
        """
        weight, bias = self.integers.weights[conv.name], self.integers.biases[conv.name]
        largest = float(weight.abs().sum(dim=(1, 2, 3)).max()) * PIXEL_MAX
        if conv.name in self.tables:
            x = self.tables[conv.name][x.long()]
        exact = torch.float32 if largest < 2**24 else torch.float64
        products = convolve(conv, x.to(exact), weight.to(exact))
        acc = products.double().add_(bias[:, None, None])
        scaled = acc.float().double().mul_(self.multipliers[conv.name][:, None, None])
        return scaled.round_().clamp_(0, self.quantized.layers[conv.name].output_qmax).float()

    def context_sums(self, pixels: NDArray[np.uint8]) -> dict[str, Tensor]:
        """`(N, 24, 94, 3)` uint8 to the contexts' window sums `(N, C, 4, 18)`, integers in
        float64, by name of the convolution that feeds the context.
        """
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        outputs = self.integers.activations(image, self.conv_relu)
        sums = {}
        for context in self.quantized.architecture.contexts:
            x, window = outputs[context.of].double(), (context.kernel, context.stride)
            sums[context.of] = F.avg_pool2d(x, *window, divisor_override=1)
        return sums

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(N, 24, 94, 3)` uint8 to `(N, 68, 18)` float32, what follows the sums in float64."""
        sums, normalised = self.context_sums(pixels), []
        for index, context in enumerate(self.quantized.architecture.contexts):
            step = self.quantized.layers[context.of].output_scale / context.window
            real = sums[context.of] * step
            if self.quantized.context_means is None:
                norm = real.square().mean(dim=(1, 2, 3))[:, None, None]
                normalised.append(real.mean(dim=2) / norm)
            else:
                normalised.append(real.mean(dim=2) / self.quantized.context_means[index])
        weight, bias = self.integers.weights[CONTAINER], self.integers.biases[CONTAINER]
        return F.conv1d(torch.cat(normalised, dim=1), weight[..., 0], bias).float().numpy()


@torch.no_grad()
def integer_reference(quantized: QuantizedNetwork) -> IntegerReference:
    """The integers of `quantized`, ready to run."""
    real = quantized.dequantized()
    weights = {CONTAINER: real.weights[CONTAINER].double()}
    biases = {CONTAINER: real.biases[CONTAINER].double()}
    multipliers, tables = {}, {}
    for conv in quantized.architecture.backbone:
        layer = quantized.layers[conv.name]
        weights[conv.name] = torch.from_numpy(layer.weight.values).double()
        biases[conv.name] = torch.from_numpy(layer.bias).double()
        multipliers[conv.name] = torch.from_numpy(layer.multiplier).double()
        reads = quantized.input_qparams(conv)
        if reads is not None:
            source = quantized.source_qparams(conv)
            table = requantization(*source, reads.scale, reads.zero_point, reads.qmax)
            tables[conv.name] = torch.from_numpy(table).float()
    integers = CompactNetwork(quantized.architecture, weights, biases)
    return IntegerReference(integers, multipliers, tables, quantized)
