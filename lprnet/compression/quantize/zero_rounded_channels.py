"""Channels that int8 weights cannot read: all weights that their consumer multiplies them by are
less than half a step of its scales, and would be rounded to 0.

Weight decay leaves many of them. Rounding alone would not drop them: it makes up for its own errors
with whatever weights it has, and half a step of a thousand unused weights is noise and work.
"""

import torch
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.quantize.int16_pairs import pair_scales


def channels_surviving_rounding(network: CompactNetwork) -> dict[str, Tensor]:
    """Convolution of the backbone to the sorted indices of its channels that stay.

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
        steps = weight.abs() / pair_scales(weight)[:, None, None, None]
        survives = (steps > 0.5).flatten(2).any(dim=2).any(dim=0)
        if survives.any():
            kept[conv.name] = survives.nonzero().flatten()
    return kept
