"""From a checkpoint and the flags of a build to what the compiler is given."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compiler.network import CompilerInput, LayerSummary, torch_logits
from lprnet.compression.calibration import (
    calibrate,
    calibration_files,
    read_images,
    rendered_images,
)
from lprnet.compression.prune.preset_widths import preset_widths
from lprnet.compression.prune.prune import depth_aware, structured, unstructured
from lprnet.compression.quantize.integer_reference import integer_network
from lprnet.compression.quantize.post_training import static, weights_only
from lprnet.model.checkpoint import Stated, load_model
from lprnet.model.conv_graph import CONTAINER, LAYERS
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import IMAGE_SCALE, Quantization, QuantizedWeight
from lprnet.onnx_import.load import load_onnx
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.plate_grammar import PROVINCES
from lprnet.support.errors import UserError
from relay_passes.insert_quantize import Grid, LayerScales

UNSTRUCTURED_RATIO = 0.9
"""Of all weights, set to zero by their size; many channels lose all of theirs and go."""


def prepare(
    checkpoint: Path,
    calibration: Path | None,
    quantized: str | None,
    pruned: str | None = None,
    stated: Stated | None = None,
) -> tuple[CompilerInput, NDArray[np.uint8], list[Path]]:
    """The network to compile, images to compare it on, and the files it was calibrated on.

    `stated` is what is known of a checkpoint's network beside its tensors. Raises `UserError` for a
    bad checkpoint or image.
    """
    model, images, files = _reduced(checkpoint, calibration, quantized, pruned, stated)
    return _network(model, images, quantized, pruned), images, files


def _reduced(
    checkpoint: Path,
    calibration: Path | None,
    quantized: str | None,
    pruned: str | None,
    stated: Stated | None,
) -> tuple[LPRNet | Quantization, NDArray[np.uint8], list[Path]]:
    """The calibrated and pruned model, in float32 unless the checkpoint is in integers; the rest as
    `prepare`.
    """
    model = _load(checkpoint, stated)
    if isinstance(model, Quantization):
        if calibration is not None or pruned or quantized == "weights":
            raise UserError(
                f"{checkpoint} is quantized already and built as it is; leave out --calibration, "
                "--pruned and --quantized=weights, or give the float network it was made from"
            )
        return model, rendered_images(), []
    files = [] if calibration is None else calibration_files(calibration)
    image_format = model.architecture.image_format
    images = read_images(files, image_format) if files else rendered_images(image_format)
    if (quantized or pruned) and not files:
        _check_rendered(checkpoint, model.architecture.alphabet)
    if files or ((quantized or pruned) and model.context_means is None):
        calibrate(model, images)
    if pruned:
        arithmetic = "int8" if quantized == "static" else "float32"
        model = _prune(model, images, pruned, checkpoint, arithmetic)
    return model, images, files


def _load(checkpoint: Path, stated: Stated | None) -> LPRNet | Quantization:
    if checkpoint.suffix != ".onnx":
        return load_model(checkpoint, stated)
    if stated is not None and stated != Stated():
        raise UserError(
            f"{checkpoint} is ONNX, of which the published network alone is read; leave out "
            "--architecture, --alphabet, --size and --channels, or give a state dict"
        )
    return load_onnx(checkpoint)


def _check_rendered(checkpoint: Path, alphabet: Alphabet) -> None:
    """Raise `UserError` where rendered plates are none of those that a network reads."""
    if not set(PROVINCES) <= set(alphabet.symbols):
        raise UserError(
            f"{checkpoint} reads the alphabet {alphabet.name}, and plates are rendered of China's "
            "alone; give images to calibrate on with --calibration"
        )


def _prune(
    model: LPRNet, images: NDArray[np.uint8], how: str, checkpoint: Path, arithmetic: str
) -> LPRNet:
    match how:
        case "unstructured":
            return unstructured(model, UNSTRUCTURED_RATIO)
        case "depth-aware":
            return depth_aware(model)
        case _:
            widths = preset_widths(model, checkpoint, arithmetic)
            return structured(model, torch.from_numpy(normalise(images)), widths)


def _network(
    model: LPRNet | Quantization,
    images: NDArray[np.uint8],
    quantized: str | None,
    pruned: str | None,
) -> CompilerInput:
    """The variant to compile."""
    if isinstance(model, Quantization):
        return quantized_network(model)
    match quantized:
        case "static":
            network = static_network(model, images)
        case "weights":
            network = weights_only_network(model, images)
        case _:
            network = float_network(model)
    return replace(network, variant=f"{network.variant}-{pruned}") if pruned else network


def float_network(model: LPRNet) -> CompilerInput:
    """`model` as it is, in float32."""
    return CompilerInput("fp32", model, (), lambda images: torch_logits(model, images))


def static_network(model: LPRNet, images: NDArray[np.uint8]) -> CompilerInput:
    """`model` in integers, calibrated on `images` `(N, 24, 94, 3)` uint8 BGR."""
    return quantized_network(static(model, torch.from_numpy(normalise(images))))


def quantized_network(quantization: Quantization) -> CompilerInput:
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
    return CompilerInput("int8", quantization.model, tuple(scales), expected, tuple(summaries))


def weights_only_network(model: LPRNet, images: NDArray[np.uint8]) -> CompilerInput:
    """`model` with int8 weights, computed in float32; `images` as in `static_network`."""
    weights, rounded = weights_only(model, torch.from_numpy(normalise(images)))
    names = [*(layer.name for layer in LAYERS), CONTAINER]
    scales = tuple(LayerScales(_grid(weights[name]), None) for name in names)
    summaries = tuple(LayerSummary(name, _range(weights[name]), None, None) for name in names)

    def expected(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return torch_logits(rounded, pixels)

    return CompilerInput("int8-weights", rounded, scales, expected, summaries)


def _grid(weight: QuantizedWeight) -> NDArray[np.float64]:
    """The scales that occur in a layer."""
    return np.unique(weight.scale).astype(np.float64)


def _range(weight: QuantizedWeight) -> tuple[float, float]:
    """The smallest and the largest scale of a layer's living channels."""
    living = weight.scale[weight.values.any(axis=(1, 2, 3))]
    return (float(living.min()), float(living.max())) if living.size else (0.0, 0.0)
