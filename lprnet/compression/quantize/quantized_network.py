"""A compact network in integers: the result of static quantization, and an imported QDQ file."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compression.compact import CompactNetwork, compact_network
from lprnet.model.architecture import CONTAINER, Architecture, Conv
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.quantized import (
    IMAGE_SCALE,
    IMAGE_ZERO_POINT,
    PIXEL_MAX,
    QuantizedLayer,
    QuantizedLPRNet,
    QuantizedWeight,
)
from relay_passes.bind_convolutions import Convolution
from relay_passes.insert_quantize import QParams


@dataclass(frozen=True)
class QuantizedNetwork:
    """Integers by convolution name, which read as those of a `CompactNetwork` do; the container
    computes in float32.
    """

    architecture: Architecture
    layers: dict[str, QuantizedLayer]
    container: QuantizedWeight | Convolution
    context_means: tuple[float, ...] | None
    """Constants that the contexts are divided by; None: the mean square of each image's own."""

    def input_qparams(self, conv: Conv) -> QParams | None:
        """What `conv` rounds its input to; None where it reads its producer's integers, or the
        pixels, as they are. Rounding again keeps the largest integer of what it reads.
        """
        reads = self.layers[conv.name].input_scale, self.layers[conv.name].input_zero_point
        if reads == self.source_qparams(conv):
            return None
        producer = self.architecture.producer(conv)
        qmax = PIXEL_MAX if producer is None else self.layers[producer.name].output_qmax
        return QParams(reads[0], int(reads[1]), qmax)

    def source_qparams(self, conv: Conv) -> tuple[float, float]:
        """Scale and zero point of what `conv`'s producer emits, or of the pixels."""
        producer = self.architecture.producer(conv)
        if producer is None:
            return IMAGE_SCALE, IMAGE_ZERO_POINT
        return self.layers[producer.name].output_scale, 0.0

    def dequantized(self) -> CompactNetwork:
        """The real weights that the integers stand for."""
        tensors = {name: layer.tensors() for name, layer in self.layers.items()}
        tensors[CONTAINER] = (
            self.container.tensors()
            if isinstance(self.container, QuantizedWeight)
            else (torch.tensor(self.container.weight), torch.tensor(self.container.bias))
        )
        return compact_network(self.architecture, tensors)


def arranged(imported: QuantizedLPRNet) -> QuantizedNetwork:
    """All channels of an imported network, those first that the next convolution reads."""
    architecture = imported.model.architecture
    rows = {conv.name: _read_first(architecture, conv) for conv in architecture.backbone}
    layers = {
        name: replace(layer, weight=_rows(layer.weight, rows[name]))
        for name, layer in imported.layers.items()
    }
    columns = np.concatenate(
        [
            columns.start + rows[context.of]
            for context, columns in zip(
                architecture.contexts, architecture.context_columns(), strict=True
            )
        ]
    )
    container: QuantizedWeight | Convolution
    if imported.container is None:
        weight, bias = (t.detach().numpy() for t in weight_and_bias(imported.model, CONTAINER))
        container = Convolution(weight[:, columns], bias)
    else:
        container = replace(imported.container, values=imported.container.values[:, columns])
    means = imported.model.context_means
    return QuantizedNetwork(architecture, layers, container, means)


def _read_first(architecture: Architecture, conv: Conv) -> NDArray[np.int64]:
    """The channels of `conv` that its consumer reads, then the others."""
    consumer, every = architecture.consumer(conv), np.arange(conv.out_channels)
    if consumer is None or consumer.pool is None:
        return every
    read = np.array(consumer.pool.selected(conv.out_channels))
    return np.concatenate([read, np.setdiff1d(every, read)])


def _rows(weight: QuantizedWeight, rows: NDArray[np.int64]) -> QuantizedWeight:
    return QuantizedWeight(weight.values[rows], weight.scale[rows], weight.bias[rows])
