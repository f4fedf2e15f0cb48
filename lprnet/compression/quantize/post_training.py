"""Static and weights-only int8: from a float LPRNet to integers that read the same plates.

Every convolution of the backbone gets int8 weights with one scale per output channel and an
unsigned activation with one scale, zero point 0 (a ReLU precedes it); the image goes in as the
uint8 pixels it came as. The container computes in float32, on int8 weights: it is a third of a
percent of the arithmetic, and reads exact integer sums over pool windows. `integer_reference.py`
says what the integers compute.

The integers are the same for every CPU, and so is what it reads. Without VNNI products take part
in saturating 16-bit pair sums (`vpmaddubsw`), so weights have 8 bits and a pair of them a limit
(`int16_pairs.py`). Channels that such weights would not hear are left out
(`zero_rounded_channels.py`). Every image counts a second time, a little aside, so that refits
follow the noise of the calibration images less: of 1200 warped ones the public checkpoint's logits
are read 0.2 dB nearer to the float network's.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.compression.compact import Compact, before_relu, compact, context_means, expand, padding
from lprnet.compression.fold_constants import fold, living_channels
from lprnet.compression.least_squares import Gram, as_solution, gram, ridge
from lprnet.compression.quantize.equalization import equalize
from lprnet.compression.quantize.gptq import round_weights, to_levels
from lprnet.compression.quantize.int16_pairs import PairRounding, pair_scales
from lprnet.compression.quantize.scale_search import activation_scale, weight_scales
from lprnet.compression.quantize.zero_rounded_channels import audible_channels, cut, silence
from lprnet.model.conv_graph import CONTAINER, LAYERS, Layer, weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.quantized import (
    IMAGE_SCALE,
    IMAGE_ZERO_POINT,
    LARGEST_BIAS,
    UNSEEN,
    Quantization,
    QuantizedLayer,
    QuantizedWeight,
    WeightsOnly,
)
from lprnet.runtime.alphabet import CLASSES
from lprnet.support.errors import UserError

ACTIVATION_LEVELS = 255
WEIGHT_LEVELS = 127
"""Of weights that meet float32 activations, so that no pair sum limits them."""
ASIDE = 2
"""Pixels."""


@torch.no_grad()
def static(model: LPRNet, images: Tensor) -> Quantization:
    """Quantize weights and activations of `model`, calibrated on `images` `(N, 3, 24, 94)`.

    Layer by layer, from inputs that already carry the noise of all layers before, the weights are
    refitted to the float network's outputs (`least_squares.ridge`) and rounded (`gptq`). Labels are
    not needed. Raises `UserError` for a model that holds NaN or no constant context means, for no
    images, and for images that are not finite.
    """
    _check(images)
    aside = F.pad(images, (ASIDE, 0, 0, 0), mode="replicate")[..., :-ASIDE]
    images, folded = torch.cat([images, aside]), fold(model)
    return _static(expand(equalize(compact(folded), images), folded), images)


def _static(folded: LPRNet, images: Tensor) -> Quantization:
    """Of an equalized model. Equalizing goes before, for it must not be repeated: it would stretch
    channels that no image reaches a thousandfold each time.
    """
    real = compact(folded)
    wanted, logits = before_relu(real, images), real.logits(images)
    audible = audible_channels(real)
    real, folded = cut(real, audible), silence(folded, real, audible)
    wanted = {name: outputs[:, audible[name]] for name, outputs in wanted.items()}
    rounded = _Rounded({}, {}, {})
    steps: dict[str, float] = {}
    sqnr: dict[str, float] = {}

    def quantize_layer(layer: Layer, x: Tensor) -> Tensor:
        name = layer.name
        before = IMAGE_SCALE if layer.source is None else steps[layer.source]
        moments = gram(real.weights[name], x, wanted[name])
        rounded.add(name, real, moments, None, before)
        weight = rounded.weights[name]
        y = F.conv2d(x, weight, rounded.biases[name], padding=padding(weight)).relu()
        steps[name] = activation_scale(y, ACTIVATION_LEVELS)
        y = (y / steps[name]).round().clamp(0, ACTIVATION_LEVELS) * steps[name]
        sqnr[name] = _sqnr(wanted[name].relu(), y)
        return y

    rounded.add_container(real, real.activations(images, quantize_layer), logits)
    quantized = rounded.model(real, folded)
    living = living_channels(folded)
    left = living_channels(fold(quantized))
    kept = {name: torch.isin(living[name], left[name]).nonzero().flatten() for name in living}
    if any(len(kept[name]) < len(living[name]) for name in living):
        # Without them their neighbours meet in other pairs.
        return _static(fold(silence(folded, real, kept)), images)
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
    return Quantization(layers, container, ACTIVATION_LEVELS, quantized)


@torch.no_grad()
def weights_only(model: LPRNet, images: Tensor) -> WeightsOnly:
    """Quantize the weights of `model`, the container's too; arithmetic stays float32.

    `images` `(N, 3, 24, 94)` say which rounding errors its outputs notice. Raises as `static`.
    """
    _check(images)
    folded = fold(model)
    real = equalize(compact(folded), images)
    wanted = before_relu(real, images)
    rounded = _Rounded({}, {}, {})

    def quantize_layer(layer: Layer, x: Tensor) -> Tensor:
        moments = gram(real.weights[layer.name], x, wanted[layer.name])
        rounded.add(layer.name, real, moments, WEIGHT_LEVELS)
        weight = rounded.weights[layer.name]
        return F.conv2d(x, weight, rounded.biases[layer.name], padding=padding(weight)).relu()

    rounded.add_container(real, real.activations(images, quantize_layer), real.logits(images))
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
        self, name: str, real: Compact, moments: Gram, levels: int | None, input_scale: float = inf
    ) -> None:
        """Refit and round one layer, to `levels` or in pairs; the bias of one that reads integers
        of `input_scale` fits its accumulators.
        """
        shape = real.weights[name].shape
        solution = ridge(moments, as_solution(real.weights[name], real.biases[name]))
        weight = solution[:-1].T.reshape(shape)
        scales = pair_scales(weight) if levels is None else weight_scales(weight, levels)
        smallest = solution[-1].abs() * (1 / (input_scale * LARGEST_BIAS))
        self.scales[name] = torch.maximum(scales, smallest).float()
        rounding = PairRounding(shape) if levels is None else to_levels(levels)
        solution = round_weights(moments, solution, self.scales[name].double(), rounding)
        self.weights[name] = solution[:-1].T.reshape(shape).float()
        self.biases[name] = solution[-1].float()

    def add_container(self, real: Compact, outputs: dict[str, Tensor], logits: Tensor) -> None:
        """Refit and round the container, which reads the contexts of the quantized `outputs`, to
        the `logits` wanted.
        """
        contexts = torch.cat(context_means(outputs), dim=1)
        moments = gram(real.weights[CONTAINER], contexts[:, :, None], logits[:, :, None])
        self.add(CONTAINER, real, moments, WEIGHT_LEVELS)

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
