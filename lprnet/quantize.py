"""Static and weights-only int8: from a float LPRNet to integers that read the same plates.

Every convolution of the backbone gets int8 weights with one scale per output channel and an
unsigned activation with one scale, zero point 0 (a ReLU precedes it); the image goes in as the
uint8 pixels it came as. The container computes in float32, on int8 weights: it is a third of a
percent of the arithmetic, and reads exact integer sums over pool windows. `integer.py` says what
the integers compute.

Without VNNI a product of one activation and one weight takes part in a saturating 16-bit pair sum
(`vpmaddubsw`), so their bits together are at most 15: 8 and 7 (2 * 255 * 63 = 32,130) or 7 and 8
(2 * 127 * 127 = 32,258). Pixels have 8, so the first weights have 7. With VNNI 8 and 8 are exact.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.alphabet import CLASSES
from lprnet.compact import Compact, before_relu, compact, context_means, expand, padding
from lprnet.equalize import equalize
from lprnet.errors import UserError
from lprnet.fold import fold, living_channels
from lprnet.gram import Gram, as_solution, gram, ridge
from lprnet.model import LPRNet
from lprnet.quantization import (
    IMAGE_SCALE,
    IMAGE_ZERO_POINT,
    LARGEST_BIAS,
    Quantization,
    QuantizedLayer,
    QuantizedWeight,
    WeightsOnly,
)
from lprnet.rounding import round_weights
from lprnet.scales import UNSEEN, activation_scale, weight_scales
from lprnet.topology import CONTAINER, LAYERS, Layer, weight_and_bias

PIXEL_WEIGHT_BITS = 7
CONTAINER_LEVELS = 127
"""int8 in every variant: its arithmetic is float32, so no pair sum limits it."""


@torch.no_grad()
def static(
    model: LPRNet, images: Tensor, activation_bits: int = 8, weight_bits: int = 7
) -> Quantization:
    """Quantize weights and activations of `model`, calibrated on `images` `(N, 3, 24, 94)`.

    Layer by layer, from inputs that already carry the noise of all layers before, the weights are
    refitted to the float network's outputs (`gram.ridge`) and rounded (`rounding`). Labels are not
    needed. Raises `UserError` for a model that holds NaN or no constant context means, for no
    images, and for images that are not finite.
    """
    _check(images)
    folded = fold(model)
    real = equalize(compact(folded), images)
    wanted = before_relu(real, images)
    levels = 2**activation_bits - 1
    rounded = _Rounded({}, {}, {})
    steps: dict[str, float] = {}
    sqnr: dict[str, float] = {}

    def quantize_layer(layer: Layer, x: Tensor) -> Tensor:
        name = layer.name
        bits = weight_bits if layer.source is not None else min(weight_bits, PIXEL_WEIGHT_BITS)
        before = IMAGE_SCALE if layer.source is None else steps[layer.source]
        moments = gram(real.weights[name], x, wanted[name])
        rounded.add(name, real, moments, 2 ** (bits - 1) - 1, 1 / (before * LARGEST_BIAS))
        weight = rounded.weights[name]
        y = F.conv2d(x, weight, rounded.biases[name], padding=padding(weight)).relu()
        steps[name] = activation_scale(y, levels)
        y = (y / steps[name]).round().clamp(0, levels) * steps[name]
        sqnr[name] = _sqnr(wanted[name].relu(), y)
        return y

    rounded.add_container(real, real.activations(images, quantize_layer), images)
    quantized = rounded.model(real, folded)
    living = living_channels(folded)
    layers = {
        layer.name: QuantizedLayer(
            weight=rounded.integers(quantized, living[layer.name], layer.name),
            input_scale=IMAGE_SCALE if layer.source is None else steps[layer.source],
            input_zero_point=IMAGE_ZERO_POINT if layer.source is None else 0.0,
            output_scale=steps[layer.name],
            sqnr=sqnr[layer.name],
        )
        for layer in LAYERS
    }
    container = rounded.integers(quantized, torch.arange(CLASSES), CONTAINER)
    return Quantization(layers, container, levels, quantized)


@torch.no_grad()
def weights_only(model: LPRNet, images: Tensor, weight_bits: int = 8) -> WeightsOnly:
    """Quantize the weights of `model`, the container's too; arithmetic stays float32.

    `images` `(N, 3, 24, 94)` say which rounding errors its outputs notice. Raises as `static`.
    """
    _check(images)
    folded = fold(model)
    real = equalize(compact(folded), images)
    wanted = before_relu(real, images)
    levels = 2 ** (weight_bits - 1) - 1
    rounded = _Rounded({}, {}, {})

    def quantize_layer(layer: Layer, x: Tensor) -> Tensor:
        moments = gram(real.weights[layer.name], x, wanted[layer.name])
        rounded.add(layer.name, real, moments, levels, 0.0)
        weight = rounded.weights[layer.name]
        return F.conv2d(x, weight, rounded.biases[layer.name], padding=padding(weight)).relu()

    rounded.add_container(real, real.activations(images, quantize_layer), images)
    quantized = rounded.model(real, folded)
    living = {**living_channels(folded), CONTAINER: torch.arange(CLASSES)}
    weights = {name: rounded.integers(quantized, rows, name) for name, rows in living.items()}
    return WeightsOnly(weights, quantized)


@dataclass(frozen=True)
class _Rounded:
    """What has been rounded so far, in the compact network's shapes, by convolution name."""

    weights: dict[str, Tensor]
    biases: dict[str, Tensor]
    scales: dict[str, Tensor]

    def add(
        self, name: str, real: Compact, moments: Gram, levels: int, scale_per_bias: float
    ) -> None:
        """Refit and round one layer; no scale is below `scale_per_bias` times its bias."""
        shape = real.weights[name].shape
        solution = ridge(moments, as_solution(real.weights[name], real.biases[name]))
        scales = weight_scales(solution[:-1].T.reshape(shape), levels)
        scales = torch.maximum(scales, solution[-1].abs() * scale_per_bias).float().double()
        solution = round_weights(moments, solution, scales, levels)
        self.weights[name] = solution[:-1].T.reshape(shape).float()
        self.biases[name] = solution[-1].float()
        self.scales[name] = scales.float()

    def add_container(self, real: Compact, outputs: dict[str, Tensor], images: Tensor) -> None:
        """Refit and round the container, which reads the contexts of the quantized `outputs`."""
        contexts = torch.cat(context_means(outputs), dim=1)
        target = real.logits(images)
        moments = gram(real.weights[CONTAINER], contexts[:, :, None], target[:, :, None])
        self.add(CONTAINER, real, moments, CONTAINER_LEVELS, 0.0)

    def model(self, real: Compact, folded: LPRNet) -> LPRNet:
        """`folded` with the rounded values of `real`'s layers in their places."""
        weights, biases = {**real.weights, **self.weights}, {**real.biases, **self.biases}
        return expand(replace(real, weights=weights, biases=biases), folded)

    def integers(self, model: LPRNet, rows: Tensor, name: str) -> QuantizedWeight:
        """One layer of `model` on its grid; channels outside `rows` are zero.

        Rows of zeros get the coarsest scale of the others, which is what `InsertQuantize` finds for
        them: it sees values alone.
        """
        weight, bias = weight_and_bias(model, name)
        scale = torch.full((len(bias),), UNSEEN)
        scale[rows] = self.scales[name]
        values = (weight / scale[:, None, None, None]).round().to(torch.int8)
        used = values.flatten(1).any(dim=1)
        scale[~used] = scale[used].max() if bool(used.any()) else UNSEEN
        return QuantizedWeight(values.numpy(), scale.numpy(), bias.detach().clone().numpy())


def _check(images: Tensor) -> None:
    if len(images) == 0 or not bool(images.isfinite().all()):
        raise UserError("quantization needs at least one calibration image, and no NaN in it")


def _sqnr(signal: Tensor, quantized: Tensor) -> float:
    """In dB; infinite where nothing was lost, also of a layer that is zero."""
    noise = float((signal - quantized).square().mean())
    power = float(signal.square().mean())
    return float("inf") if noise == 0 else 10 * float(np.log10(max(power, 1e-30) / noise))
