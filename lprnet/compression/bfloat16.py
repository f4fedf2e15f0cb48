"""A network in bfloat16: its weights rounded, and what it computes, by torch in float32.

bfloat16 is a float32 with 8 bits of precision. A product of two of them is exact in float32, and
sums are in float32, so rounding what each layer emits is all that differs from float32.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lprnet.compiler.network import in_parts
from lprnet.compression.compact import CompactNetwork
from lprnet.model.architecture import Conv


def bf16_weights(network: CompactNetwork) -> CompactNetwork:
    """`network` with the weights of its backbone rounded to bfloat16, to nearest, ties to even;
    biases and the container stay. Tensors are float32.
    """
    backbone = {conv.name for conv in network.architecture.backbone}
    weights = {
        name: _rounded(weight) if name in backbone else weight
        for name, weight in network.weights.items()
    }
    return CompactNetwork(network.architecture, weights, network.biases)


def bf16_logits(network: CompactNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, H, W, 3)` uint8 to logits `(N, classes, positions)` of the network of `bf16_weights`.

    Every layer's output is rounded. Normalised pixels are 8 bits and need no rounding.
    """

    def conv_relu(conv: Conv, x: Tensor) -> Tensor:
        return _rounded(network.conv_relu(conv, x))

    def logits(x: Tensor) -> Tensor:
        return network.classify(network.activations(x, conv_relu))

    return in_parts(logits, images)


def _rounded(x: Tensor) -> Tensor:
    """float32 of the nearest bfloat16, ties to even."""
    return x.to(torch.bfloat16).to(torch.float32)
