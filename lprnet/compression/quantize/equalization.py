"""Cross-layer equalization: every channel of a layer gets the same range.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv:1906.04721, section 4.1, with ranges measured on images. A ReLU, a max pool and an average
pool commute with a positive factor, so a channel may leave its convolution divided by one as long
as its readers multiply. One scale per tensor then serves channels that differ a hundredfold: of the
third block's output on the public checkpoint, one reaches 297 and the median one 3.
"""

from dataclasses import replace

import torch
from torch import Tensor

from lprnet.compression.compact import Compact
from lprnet.model.conv_graph import CONTAINER, LAYERS

SMALLEST = 1e-3
"""No channel is stretched further than to a thousandth of its layer's range."""


@torch.no_grad()
def equalize(small: Compact, images: Tensor) -> Compact:
    """The same function of the input, up to rounding; `images` `(N, 3, 24, 94)` give the ranges."""
    outputs = small.activations(images)
    weights = {name: weight.clone() for name, weight in small.weights.items()}
    biases = {name: bias.clone() for name, bias in small.biases.items()}
    start = 0
    for layer in LAYERS:
        highest = outputs[layer.name].amax(dim=(0, 2, 3))
        top = float(highest.max())
        factor = (highest / top).clamp(min=SMALLEST) if top > 0 else torch.ones_like(highest)
        weights[layer.name] /= factor[:, None, None, None]
        biases[layer.name] /= factor
        for behind in LAYERS:
            if behind.source == layer.name:
                weights[behind.name] *= factor[small.takes[behind.name], None, None]
        if layer.context is not None:
            stop = start + len(factor)
            weights[CONTAINER][:, start:stop] *= factor[:, None, None]
            start = stop
    return replace(small, weights=weights, biases=biases)
