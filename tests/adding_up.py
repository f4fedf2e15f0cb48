"""An int8 network whose outputs show every integer that its last map holds."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.quantized_network import QuantizedNetwork
from lprnet.model.quantized import QuantizedWeight


def adding_up(quantized: QuantizedNetwork) -> QuantizedNetwork:
    """Its logits replaced by sums of a few of its integers: a wrong one, by one level at one
    position, cannot hide behind a small weight. It has at least as many classes as contexts.
    """
    classes, rows = quantized.architecture.classes, _rows(quantized)
    columns = quantized.dequantized().container_columns()
    values = np.zeros((classes, sum(c.stop - c.start for c in columns.values()), 1, 1), np.int8)
    for context, channels in enumerate(columns.values()):
        for channel in range(channels.start, channels.stop):
            values[context * rows + channel % rows, channel] = 1
    ones, zeros = np.ones(classes, np.float32), np.zeros(classes, np.float32)
    return replace(quantized, container=QuantizedWeight(values, ones, zeros))


def one_level(quantized: QuantizedNetwork) -> NDArray[np.float64]:
    """(classes,): what one level at one position changes in an output of `adding_up`; infinite for
    outputs that add nothing up.
    """
    steps, rows = np.full(quantized.architecture.classes, np.inf), _rows(quantized)
    height = quantized.architecture.grid[0]
    for index, context in enumerate(quantized.architecture.contexts):
        scale = quantized.layers[context.of].output_scale
        steps[index * rows : (index + 1) * rows] = scale / (height * context.window)
    return steps


def added_up(quantized: QuantizedNetwork, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`(N, classes, positions)`: the outputs of `adding_up(quantized)` for `pixels` `(N, H, W, C)`,
    in units of `one_level`: integers.
    """
    sums, rows = integer_reference(quantized).context_sums(pixels), _rows(quantized)
    (_, width), classes = quantized.architecture.grid, quantized.architecture.classes
    levels = np.zeros((len(pixels), classes, width))
    for index, (name, channels) in enumerate(quantized.dequantized().container_columns().items()):
        columns = sums[name].sum(dim=2).numpy()
        for channel in range(channels.start, channels.stop):
            levels[:, index * rows + channel % rows] += columns[:, channel - channels.start]
    return levels


def terms(quantized: QuantizedNetwork) -> int:
    """The most channels that one output adds up: each may be rounded."""
    widest = max(len(quantized.layers[c.of].bias) for c in quantized.architecture.contexts)
    return -(-widest // _rows(quantized))


def _rows(quantized: QuantizedNetwork) -> int:
    """Outputs for each context."""
    return quantized.architecture.classes // len(quantized.architecture.contexts)
