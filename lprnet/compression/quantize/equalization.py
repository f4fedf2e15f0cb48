"""Cross-layer equalization: every channel of a layer gets the same range.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv:1906.04721, section 4.1, with ranges measured on images. A ReLU, a max pool and an average
pool commute with a positive factor, so a channel may leave its convolution divided by one as long
as its consumers multiply. One scale per tensor then serves channels that differ a hundredfold: of
the third block's output on the public checkpoint, one reaches 297 and the median one 3.
"""

import torch
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.model.architecture import CONTAINER

MIN_RANGE = 1e-3
"""Of a layer's largest: channels of a smaller range are stretched as if they had this one."""


@torch.no_grad()
def equalize_cross_layer(network: CompactNetwork, images: Tensor) -> CompactNetwork:
    """The same function of the input, up to rounding; `images` `(N, 3, 24, 94)` give the ranges."""
    outputs = network.activations(images)
    weights = {name: weight.clone() for name, weight in network.weights.items()}
    biases = {name: bias.clone() for name, bias in network.biases.items()}
    columns = network.container_columns()
    for conv in network.architecture.backbone:
        highest = outputs[conv.name].amax(dim=(0, 2, 3))
        top = float(highest.max())
        factor = (highest / top).clamp(min=MIN_RANGE) if top > 0 else torch.ones_like(highest)
        weights[conv.name] /= factor[:, None, None, None]
        biases[conv.name] /= factor
        consumer = network.architecture.consumer(conv)
        if consumer is not None:
            read = weights[consumer.name].shape[1]
            weights[consumer.name] *= factor[:read, None, None]
        if conv.name in columns:
            weights[CONTAINER][:, columns[conv.name]] *= factor[:, None, None]
    return CompactNetwork(network.architecture, weights, biases)
