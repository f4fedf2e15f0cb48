"""Channels that int8 weights cannot read: all weights that their consumer multiplies them by are
less than half a step of its scales, and would be rounded to 0.

Weight decay leaves many of them. Rounding alone would not drop them: it makes up for its own errors
with whatever weights it has, and half a step of a thousand unused weights is noise and work.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.quantize.even_filters import even_scales
from lprnet.compression.quantize.int16_pairs import pair_scales


def channels_surviving_rounding(
    network: CompactNetwork, even: Collection[str]
) -> dict[str, Tensor]:
    """Convolution of the backbone to the sorted indices of its channels that stay; `even` are the
    convolutions of `even_filters.py`.

    One that feeds a context keeps all; so does one none of whose channels survives. From the last
    convolution to the first, so that a channel that only dropped channels read is dropped too.
    """
    architecture = network.architecture
    contexts = {context.of for context in architecture.contexts}
    counts = {conv.name: len(network.biases[conv.name]) for conv in architecture.backbone}
    kept = {name: torch.arange(count) for name, count in counts.items()}
    for conv in reversed(architecture.backbone):
        consumer = architecture.consumer(conv)
        if consumer is None or conv.name in contexts:
            continue
        weight = network.weights[consumer.name][kept[consumer.name]]
        scales = even_scales(weight) if consumer.name in even else pair_scales(weight)
        steps = weight.abs() / scales[:, None, None, None]
        survives = (steps > 0.5).flatten(2).any(dim=2).any(dim=0)
        if survives.any():
            kept[conv.name] = survives.nonzero().flatten()
    return kept
