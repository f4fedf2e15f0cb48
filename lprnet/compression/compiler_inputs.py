"""What the compiler is given of each variant: a graph, its integers, what it must compute."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compiler.network import CompilerInput, LayerSummary, in_parts, torch_logits
from lprnet.compiler.parity import MAX_BF16_ERROR
from lprnet.compression.bfloat16 import bf16_logits, bf16_weights
from lprnet.compression.compact import CompactNetwork, compact_network
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.post_training import quantize_static, quantize_weights
from lprnet.compression.quantize.quantized_network import QuantizedNetwork, arranged
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.architecture import CONTAINER
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import IMAGE_SCALE, QuantizedLayer, QuantizedLPRNet, QuantizedWeight
from lprnet.runtime.decode import Logits
from relay_passes.insert_quantize import LayerScales
from relay_passes.pipeline import BFLOAT16, bfloat16_graph, pass_names


def float_network(model: LPRNet) -> CompilerInput:
    """`model` as it is, in float32; what the artifact must compute is torch's own evaluation."""
    return _input("fp32", reduce(model), lambda images: torch_logits(model, images))


def pruned_network(reduced: ReducedNetwork) -> CompilerInput:
    """A pruned network in float32."""
    return _input("fp32", reduced, partial(compact_logits, reduced.compact))


def static_network(
    reduced: ReducedNetwork, images: NDArray[np.uint8], winograd: bool = False
) -> CompilerInput:
    """`reduced` in integers, calibrated on `images` `(N, 24, 94, 3)` uint8 BGR; `winograd` as
    `quantize_static` has it.
    """
    inputs = torch.from_numpy(normalise(images))
    return quantized_network(reduced, quantize_static(reduced, inputs, winograd))


def quantized_network(reduced: ReducedNetwork, quantized: QuantizedNetwork) -> CompilerInput:
    """`reduced` with the integers of `quantized`, which `reduced.compact` has become."""
    bound = reduced.bind(quantized.dequantized())
    return _integer_input(bound, quantized.layers, quantized)


def imported_network(imported: QuantizedLPRNet) -> CompilerInput:
    """The integers of a QDQ file. What the artifact must compute is said by all of them, also by
    those of channels that it drops.
    """
    return _integer_input(reduce(imported.model), imported.layers, arranged(imported))


def _integer_input(
    reduced: ReducedNetwork, layers: Mapping[str, QuantizedLayer], quantized: QuantizedNetwork
) -> CompilerInput:
    """`reduced` in integers: `layers` by the numbers of its channels, and what it must compute."""
    scales: list[LayerScales | None] = []
    summaries, channels = [], reduced.channels
    for conv in reduced.architecture.backbone:
        layer, qparams = layers[conv.name], quantized.input_qparams(conv)
        steps = layer.weight.scale[channels[conv.name].numpy()].astype(np.float64)
        if reduced.architecture.producer(conv) is None and qparams is None:
            steps = steps * IMAGE_SCALE  # it goes into the weights that read pixels as they are
        scales.append(LayerScales(steps, layer.output_scale, layer.output_qmax, qparams))
        used = _range(layer.weight)
        summaries.append(LayerSummary(conv.name, used, layer.output_scale, layer.sqnr))
    container = quantized.container
    if isinstance(container, QuantizedWeight):
        scales.append(LayerScales(container.scale.astype(np.float64), None))
        summaries.append(LayerSummary(CONTAINER, _range(container), None, None))
    else:
        scales.append(None)
        summaries.append(LayerSummary(CONTAINER, None, None, None))
    expected = integer_reference(quantized).logits
    return _input("int8", reduced, expected, tuple(scales), tuple(summaries))


def weights_only_network(reduced: ReducedNetwork, images: NDArray[np.uint8]) -> CompilerInput:
    """`reduced` with int8 weights, computed in float32; `images` as in `static_network`."""
    rounded = quantize_weights(reduced.compact, torch.from_numpy(normalise(images)))
    tensors = {name: weight.tensors() for name, weight in rounded.items()}
    real = compact_network(reduced.architecture, tensors)
    bound = reduced.bind(real)
    scales, summaries, channels = [], [], bound.channels
    for name, weight in rounded.items():
        steps = weight.scale.astype(np.float64)
        if name in channels:
            steps = steps[channels[name].numpy()]
        scales.append(LayerScales(steps, None))
        summaries.append(LayerSummary(name, _range(weight), None, None))
    expected = partial(compact_logits, real)
    return _input("int8-weights", bound, expected, tuple(scales), tuple(summaries))


def bf16_network(reduced: ReducedNetwork) -> CompilerInput:
    """`reduced` with weights and activations of the backbone in bfloat16, sums in float32; what
    follows the backbone is in float32.
    """
    rounded = bf16_weights(reduced.compact)
    bound = reduced.bind(rounded)
    network = _input("bf16", bound, partial(bf16_logits, rounded))
    module = bfloat16_graph(network.module)
    passes = (*network.passes, *pass_names(BFLOAT16))
    return replace(network, module=module, passes=passes, max_error=MAX_BF16_ERROR)


def compact_logits(network: CompactNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 68, 18)` float32, by torch."""
    return in_parts(network.logits, images)


def _input(
    variant: str,
    reduced: ReducedNetwork,
    expected: Logits,
    scales: tuple[LayerScales | None, ...] = (),
    summaries: tuple[LayerSummary, ...] = (),
) -> CompilerInput:
    return CompilerInput(
        variant,
        reduced.module,
        reduced.passes,
        reduced.architecture,
        reduced.context_means,
        scales,
        expected,
        summaries,
    )


def _range(weight: QuantizedWeight) -> tuple[float, float]:
    """The smallest and the largest scale of a layer's channels that have weights."""
    used = weight.scale[weight.values.any(axis=(1, 2, 3))]
    return (float(used.min()), float(used.max())) if used.size else (0.0, 0.0)
