"""A network whose layers do not all emit as many levels."""

from dataclasses import replace

import numpy as np

from lprnet.compression.quantize.quantized_network import QuantizedNetwork


def mixed_activations(quantized: QuantizedNetwork) -> QuantizedNetwork:
    """Every third layer from the second on emits 0 to 127, by twice its scale, all others 0 to 255.
    Consumers read that scale, but behind a max pool one of 0.7 of it: what they read is rounded
    again, and reaches the largest integer there is.
    """
    layers, architecture = dict(quantized.layers), quantized.architecture
    for index, conv in enumerate(architecture.backbone):
        layer, producer = layers[conv.name], architecture.producer(conv)
        if producer is not None:
            finer = 1.0 if conv.pool is None else 0.7
            scale = np.float32(layers[producer.name].output_scale * finer)  # as graphs hold it
            layer = replace(layer, input_scale=float(scale))
        if index % 3 == 1:
            layer = replace(layer, output_scale=2 * layer.output_scale, output_qmax=127)
        else:
            layer = replace(layer, output_qmax=255)
        layers[conv.name] = layer
    return replace(quantized, layers=layers)
