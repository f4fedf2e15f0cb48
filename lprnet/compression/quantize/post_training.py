"""Static and weights-only int8: from a float network to integers that read the same plates.

Every convolution of the backbone gets int8 weights with one scale per output channel and an
unsigned activation with one scale, zero point 0 (a ReLU precedes it); the image goes in as the
uint8 pixels it came as. The container computes in float32, on int8 weights: it is a third of a
percent of the arithmetic, and reads exact integer sums over pool windows. `integer_reference.py`
says what the integers compute.

The integers are the same for every CPU. Without VNNI, products are summed in saturating 16-bit
pairs (`vpmaddubsw`), so weights have 8 bits and each pair of them a limit (`int16_pairs.py`). With
it, most filters of three taps can be computed by Winograd's algorithm, where their inputs have 7
bits and their taps an even sum (`even_filters.py`).
Channels whose consumers would round them away are left out (`zero_rounded_channels.py`). Every
calibration image counts three times, also shifted by two pixels to either side, so that refits
follow the noise of the images less: of 600 warped calibration images, 587 of the public
checkpoint's are read as float32 reads them, 581 with a shift to one side alone.
"""

from collections.abc import Callable, Collection
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.compression.compact import CompactNetwork, convolve
from lprnet.compression.least_squares import (
    NormalEquations,
    as_solution,
    as_weight,
    normal_equations,
    ridge,
)
from lprnet.compression.quantize.equalization import equalize_cross_layer
from lprnet.compression.quantize.even_filters import (
    even_layers,
    even_scales,
    round_to_even,
)
from lprnet.compression.quantize.gptq import gptq_quantize, to_nearest
from lprnet.compression.quantize.int16_pairs import PairRounding, pair_scales
from lprnet.compression.quantize.quantized_network import QuantizedNetwork
from lprnet.compression.quantize.scale_search import activation_scale, weight_scales
from lprnet.compression.quantize.zero_rounded_channels import channels_surviving_rounding
from lprnet.compression.reduced import ReducedNetwork
from lprnet.model.architecture import CONTAINER, Conv
from lprnet.model.quantized import (
    IMAGE_SCALE,
    IMAGE_ZERO_POINT,
    MAX_BIAS,
    QuantizedLayer,
    QuantizedWeight,
)
from lprnet.support.errors import UserError
from relay_passes.lowering.check_exact_winograd import MAX_WINOGRAD_INPUT

ACTIVATION_QMAX = 255
WEIGHT_QMAX = 127
"""Of weights that meet float32 activations, so that no pair sum limits them."""
SHIFT_PIXELS = 2


@torch.no_grad()
def quantize_static(
    reduced: ReducedNetwork, images: Tensor, winograd: bool = False
) -> QuantizedNetwork:
    """Quantize weights and activations, calibrated on `images` `(N, 3, 24, 94)`.

    Layer by layer, from inputs that already carry the noise of all layers before, the weights are
    refitted to the float network's outputs (`least_squares.ridge`) and rounded (`gptq`). Labels are
    not needed. With `winograd`, most filters of three taps are rounded for Winograd's algorithm in
    bytes (`even_filters.py`): 7 bits do for activations where images show all that they reach, as
    rendered plates do and photographs of one camera do not. Raises `UserError` for a model that
    holds no constant context means, for no images, and for images that are not finite.
    """
    _check(images)
    right = F.pad(images, (SHIFT_PIXELS, 0, 0, 0), mode="replicate")[..., :-SHIFT_PIXELS]
    left = F.pad(images, (0, SHIFT_PIXELS, 0, 0), mode="replicate")[..., SHIFT_PIXELS:]
    images = torch.cat([images, right, left])
    network = equalize_cross_layer(reduced.compact, images)
    targets, logits = network.targets(images)
    kept = channels_surviving_rounding(network, even_layers(network) if winograd else ())
    even = even_layers(network.select_channels(kept)) if winograd else frozenset()
    rounded: _Rounded = {}
    while True:
        network = network.select_channels(kept)
        targets = {name: target[:, kept[name]] for name, target in targets.items()}
        quantized = _quantize_layers(network, even, targets, logits, images, rounded)
        kept = reduced.bind(quantized.dequantized()).channels
        names = list(rounded)
        first = next((n for n in names if len(kept[n]) != len(network.biases[n])), None)
        if first is None:
            return quantized
        # Without what rounding emptied, the channels beside it get other partners. All before it
        # stays as it is.
        for name in names[names.index(first) :]:
            del rounded[name]


_Rounded = dict[str, tuple[QuantizedLayer, Tensor]]
"""The first convolutions in order, and what they put out, of all calibration images."""


def _quantize_layers(
    network: CompactNetwork,
    even: Collection[str],
    targets: dict[str, Tensor],
    logits: Tensor,
    images: Tensor,
    rounded: _Rounded,
) -> QuantizedNetwork:
    """Round every convolution of an equalized network that is not `rounded` yet, and add it there,
    from the first to the last. `even` are the convolutions of `even_filters.py`.
    """

    def conv_relu(conv: Conv, x: Tensor) -> Tensor:
        if conv.name in rounded:
            return rounded[conv.name][1]
        producer = network.architecture.producer(conv)
        scale, zero_point = (
            (IMAGE_SCALE, IMAGE_ZERO_POINT)
            if producer is None
            else (rounded[producer.name][0].output_scale, 0.0)
        )
        target = targets[conv.name]
        equations = normal_equations(x, target, conv.kernel, conv.padding, conv.row_stride)
        weight = _round_layer(network, conv.name, conv.name in even, equations, scale)
        y = convolve(conv, x, *weight.tensors()).relu()
        consumer = network.architecture.consumer(conv)
        is_read_by_even = consumer is not None and consumer.name in even
        qmax = MAX_WINOGRAD_INPUT if is_read_by_even else ACTIVATION_QMAX
        step = activation_scale(y, qmax)
        y = (y / step).round().clamp(0, qmax) * step
        weight = _with_constants(weight, step / scale)
        layer = QuantizedLayer(weight, scale, zero_point, step, qmax, _sqnr(target.relu(), y))
        rounded[conv.name] = layer, y
        return y

    outputs = network.activations(images, conv_relu)
    container = _round_container(network, outputs, logits)
    means = (1.0,) * len(network.architecture.contexts)  # they are part of the container
    layers = {name: layer for name, (layer, _) in rounded.items()}
    return QuantizedNetwork(network.architecture, layers, container, means)


@torch.no_grad()
def quantize_weights(network: CompactNetwork, images: Tensor) -> dict[str, QuantizedWeight]:
    """Quantize the weights alone, the container's too, by name; arithmetic stays float32.

    `images` `(N, 3, 24, 94)` say which rounding errors the outputs notice. Raises `UserError` for
    no images, and for images that are not finite.
    """
    _check(images)
    network = equalize_cross_layer(network, images)
    targets, logits = network.targets(images)
    rounded: dict[str, QuantizedWeight] = {}

    def conv_relu(conv: Conv, x: Tensor) -> Tensor:
        equations = normal_equations(
            x, targets[conv.name], conv.kernel, conv.padding, conv.row_stride
        )
        rounded[conv.name] = _round_to_nearest(network, conv.name, equations)
        return convolve(conv, x, *rounded[conv.name].tensors()).relu()

    outputs = network.activations(images, conv_relu)
    rounded[CONTAINER] = _round_container(network, outputs, logits)
    return rounded


def _round_layer(
    network: CompactNetwork, name: str, even: bool, equations: NormalEquations, input_scale: float
) -> QuantizedWeight:
    """Refit one layer that reads integers of `input_scale`, and round it so that pairs of products
    fit 16 bits and its bias an int32 accumulator; `even` as `even_filters.py` says.
    """
    shape, solution = network.weights[name].shape, _refit(network, name, equations)
    min_scales = solution[-1].abs() * (1 / (input_scale * MAX_BIAS))
    weight = solution[:-1].T.reshape(shape)
    if even:
        scales = torch.maximum(even_scales(weight), min_scales)
        return _round(shape, equations, solution, scales, round_to_even)
    scales = torch.maximum(pair_scales(weight), min_scales)
    in_pairs = partial(gptq_quantize, rounding=PairRounding(shape))
    return _round(shape, equations, solution, scales, in_pairs)


def _round_to_nearest(
    network: CompactNetwork, name: str, equations: NormalEquations
) -> QuantizedWeight:
    """Refit one layer that reads float32, and round it."""
    shape, solution = network.weights[name].shape, _refit(network, name, equations)
    scales = weight_scales(solution[:-1].T.reshape(shape), WEIGHT_QMAX)
    nearest = partial(gptq_quantize, rounding=to_nearest(WEIGHT_QMAX))
    return _round(shape, equations, solution, scales, nearest)


def _round_container(
    network: CompactNetwork, outputs: dict[str, Tensor], logits: Tensor
) -> QuantizedWeight:
    """Refit the container from the rounded network's `outputs` to the `logits`, and round it."""
    contexts = network.context_means(outputs)[:, :, None]
    return _round_to_nearest(network, CONTAINER, normal_equations(contexts, logits[:, :, None]))


def _refit(network: CompactNetwork, name: str, equations: NormalEquations) -> Tensor:
    return ridge(equations, as_solution(network.weights[name], network.biases[name]))


def _round(
    shape: torch.Size,
    equations: NormalEquations,
    solution: Tensor,
    scales: Tensor,
    rounded: Callable[[NormalEquations, Tensor, Tensor], Tensor],
) -> QuantizedWeight:
    """The OIHW integers of what `rounded` makes of the equations, the solution and its scales."""
    scales = scales.float()
    weight, bias = as_weight(rounded(equations, solution, scales.double()), shape)
    values = (weight / scales[:, None, None, None]).round().to(torch.int8)
    return QuantizedWeight(values.numpy(), scales.numpy(), bias.numpy())


def _with_constants(weight: QuantizedWeight, scale: float) -> QuantizedWeight:
    """`weight`, its channels of zeros as the constants they are: with `scale`, output scale over
    input scale, one step of the accumulator is one of the output.
    """
    used = weight.values.any(axis=(1, 2, 3))
    scales = np.where(used, weight.scale, np.float32(scale))
    return QuantizedWeight(weight.values, scales, np.where(used, weight.bias, weight.bias.clip(0)))


def _check(images: Tensor) -> None:
    if len(images) == 0 or not bool(images.isfinite().all()):
        raise UserError("quantization needs at least one calibration image, and no NaN in it")


def _sqnr(signal: Tensor, quantized: Tensor) -> float:
    """In dB; infinite where nothing was lost, also of a layer that is zero."""
    noise = float((signal - quantized).square().mean())
    power = float(signal.square().mean())
    return float("inf") if noise == 0 else 10 * float(np.log10(max(power, 1e-30) / noise))
