"""What a build compiles: a torch model, the scales of its integers, and what it must compute."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compression.quantize.integer_reference import integer_network
from lprnet.compression.quantize.post_training import static, weights_only
from lprnet.model.conv_graph import CONTAINER, LAYERS
from lprnet.model.lprnet import LPRNet
from lprnet.model.quantized import IMAGE_SCALE, Quantization, QuantizedWeight
from lprnet.runtime.image_io import normalise
from relay_passes.insert_quantize import Grid, LayerScales

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""`(N, 24, 94, 3)` uint8 BGR to `(N, 68, 18)` float32."""


@dataclass(frozen=True)
class LayerSummary:
    """What quantization made of one convolution, for a reader."""

    layer: str
    weight_scales: tuple[float, float] | None
    """The smallest and the largest of its output channels; None is float32."""
    activation_scale: float | None
    """Of what it emits, zero point 0; None is float32."""
    sqnr: float | None
    """Signal to quantization noise of what it emits, dB; None where only weights are rounded."""


@dataclass(frozen=True)
class Network:
    """One variant of the network, ready to be compiled."""

    variant: str
    model: LPRNet
    """What is exported; of a quantized network the weights lie on their integer grids."""
    scales: tuple[LayerScales | None, ...]
    """Of its convolutions in order, none for a float network (`relay_passes/pipeline.py`)."""
    expected: Logits
    """What the artifact must compute, by torch."""
    layers: tuple[LayerSummary, ...] = ()
    """Of a quantized network, one a convolution."""


def float_network(model: LPRNet) -> Network:
    """`model` as it is, in float32."""
    return Network("fp32", model, (), lambda images: torch_logits(model, images))


def static_network(model: LPRNet, images: NDArray[np.uint8]) -> Network:
    """`model` in integers, calibrated on `images` `(N, 24, 94, 3)` uint8 BGR."""
    return quantized_network(static(model, torch.from_numpy(normalise(images))))


def quantized_network(quantization: Quantization) -> Network:
    """The network of `quantization`, and its exact evaluation as what an artifact must compute."""
    scales: list[LayerScales | None] = []
    summaries = []
    for layer in LAYERS:
        integers, grid = quantization.layers[layer.name], quantization.read_on(layer)
        steps = _grid(integers.weight)
        if layer.source is None and grid is None:
            steps = steps * IMAGE_SCALE  # it goes into the weights that read pixels as they are
        read_on = None if grid is None else Grid(*grid)
        scales.append(LayerScales(steps, integers.output_scale, quantization.levels, read_on))
        used = _range(integers.weight)
        summaries.append(LayerSummary(layer.name, used, integers.output_scale, integers.sqnr))
    container = quantization.container
    scales.append(None if container is None else LayerScales(_grid(container), None))
    float_or_range = None if container is None else _range(container)
    summaries.append(LayerSummary(CONTAINER, float_or_range, None, None))
    expected = integer_network(quantization).logits
    return Network("int8", quantization.model, tuple(scales), expected, tuple(summaries))


def weights_only_network(model: LPRNet, images: NDArray[np.uint8]) -> Network:
    """`model` with int8 weights, computed in float32; `images` as in `static_network`."""
    weights, rounded = weights_only(model, torch.from_numpy(normalise(images)))
    names = [*(layer.name for layer in LAYERS), CONTAINER]
    scales = tuple(LayerScales(_grid(weights[name]), None) for name in names)
    summaries = tuple(LayerSummary(name, _range(weights[name]), None, None) for name in names)

    def expected(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return torch_logits(rounded, pixels)

    return Network("int8-weights", rounded, scales, expected, summaries)


def torch_logits(model: LPRNet, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 68, 18)` float32, by torch."""
    model.eval()
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(torch.from_numpy(normalise(images))).numpy()
    return logits


def _grid(weight: QuantizedWeight) -> NDArray[np.float64]:
    """The scales that occur in a layer."""
    return np.unique(weight.scale).astype(np.float64)


def _range(weight: QuantizedWeight) -> tuple[float, float]:
    """The smallest and the largest scale of a layer's living channels."""
    living = weight.scale[weight.values.any(axis=(1, 2, 3))]
    return (float(living.min()), float(living.max())) if living.size else (0.0, 0.0)
