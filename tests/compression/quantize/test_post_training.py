"""Quantization against an independent integer reference, hostile input, and real plates."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from numpy.typing import NDArray

from lprnet.compiler.compile import lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibration_files, read_images
from lprnet.compression.compact import compact_network
from lprnet.compression.compiler_inputs import quantized_network
from lprnet.compression.quantize import post_training
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.post_training import quantize_static, quantize_weights
from lprnet.compression.quantize.quantized_network import QuantizedNetwork
from lprnet.compression.quantize.scale_search import activation_scale, weight_scales
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.architecture import Pair
from lprnet.model.checkpoint import load_model
from lprnet.model.conv_graph import convolution
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.preprocessing import OFFSET, SCALE, normalise
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.model.quantized import QuantizedWeight
from lprnet.support.errors import UserError
from relay_passes.bind_convolutions import read_convolutions
from relay_passes.pipeline import quantize_graph
from tests.conftest import RealData

Integers = NDArray[np.int64]


@pytest.fixture(scope="module")
def model() -> LPRNet:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.01,) * 4).eval()
    with torch.no_grad():
        # Kaiming, so that activations stay in range through 15 layers
        for layer in LPRNET_CHINA.backbone:
            torch.nn.init.kaiming_normal_(convolution(model, layer.name).weight)
            convolution(model, layer.name).weight[8::2] = 0.0  # and the tests quick
    return model


@pytest.fixture(scope="module")
def reduced(model: LPRNet) -> ReducedNetwork:
    return reduce(model)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 24, 94, 3), dtype=np.uint8)


def naive_convolution(x: Integers, weight: Integers, bias: Integers) -> Integers:
    """`(C, H, W)` by OIHW, 3x1 and 1x3 padded to keep the size: a sum over taps, in int64."""
    _, _, rows, columns = weight.shape
    if (rows, columns) in ((3, 1), (1, 3)):
        x = np.pad(x, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2))
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    acc = np.zeros((len(weight), height, width), np.int64)
    for i in range(rows):
        for j in range(columns):
            window = x[:, i : i + height, j : j + width]
            acc += np.einsum("oc,chw->ohw", weight[:, :, i, j], window)
    acc += bias[:, None, None]
    assert np.abs(acc).max() < 2**31
    return acc


def naive_max_pool(x: Integers, width_stride: int) -> Integers:
    height, width = x.shape[1] - 2, (x.shape[2] - 3) // width_stride + 1
    windows = [
        x[:, i : i + height, j : j + (width - 1) * width_stride + 1 : width_stride]
        for i in range(3)
        for j in range(3)
    ]
    highest: Integers = np.max(windows, axis=0)
    return highest


def naive_average_sums(x: Integers, kernel: Pair, stride: Pair) -> Integers:
    (rows, columns), (down, right) = kernel, stride
    sums = [
        [
            x[:, h * down : h * down + rows, w * right : w * right + columns].sum(axis=(1, 2))
            for w in range(18)
        ]
        for h in range(4)
    ]
    stacked: Integers = np.array(sums).transpose(2, 0, 1)
    return stacked


def naive_sums(quantized: QuantizedNetwork, image: NDArray[np.uint8]) -> dict[str, Integers]:
    """Written from the formula alone: NumPy, int64, no code of the package."""
    outputs: dict[str, Integers] = {}
    x = image.transpose(2, 0, 1).astype(np.int64)
    for conv in quantized.architecture.backbone:
        layer = quantized.layers[conv.name]
        weight = layer.weight.values.astype(np.int64)
        x = x[: weight.shape[1]]
        if conv.pool is not None:
            x = naive_max_pool(x, conv.pool.stride[1])
        acc = naive_convolution(x, weight, layer.bias.astype(np.int64))
        scaled = acc.astype(np.float32).astype(np.float64) * layer.multiplier[:, None, None]
        x = outputs[conv.name] = np.rint(scaled).clip(0, layer.output_qmax).astype(np.int64)
    return {
        context.of: naive_average_sums(outputs[context.of], context.kernel, context.stride)
        for context in quantized.architecture.contexts
    }


def test_layers_before_a_lost_channel_are_rounded_once(
    reduced: ReducedNetwork, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = torch.from_numpy(normalise(pixels))
    rounded: list[str] = []
    once, round_layer = post_training._quantize_layers, post_training._round_layer

    def counted(network: Any, name: str, *rest: Any) -> QuantizedWeight:
        rounded.append(name)
        return round_layer(network, name, *rest)

    def from_nothing(*what: Any) -> QuantizedNetwork:
        what[-1].clear()
        return once(*what)

    monkeypatch.setattr(post_training, "_round_layer", counted)
    found, names = (
        quantize_static(reduced, inputs, winograd=True),
        [conv.name for conv in LPRNET_CHINA.backbone],
    )
    again = rounded[len(names) :]
    assert rounded[: len(names)] == names
    assert again
    assert again[0] != names[0]
    monkeypatch.setattr(post_training, "_quantize_layers", from_nothing)
    whole = quantize_static(reduced, inputs, winograd=True)
    for name in names:
        one, other = found.layers[name], whole.layers[name]
        assert np.array_equal(one.weight.values, other.weight.values)
        assert np.array_equal(one.weight.scale, other.weight.scale)
        assert np.array_equal(one.weight.bias, other.weight.bias)
        assert one.output_scale == other.output_scale
        assert one.input_scale == other.input_scale
    assert isinstance(found.container, QuantizedWeight)
    assert isinstance(whole.container, QuantizedWeight)
    assert np.array_equal(found.container.values, whole.container.values)


@torch.no_grad()
def test_integers_are_exact(
    model: LPRNet, reduced: ReducedNetwork, pixels: NDArray[np.uint8]
) -> None:
    images = torch.from_numpy(normalise(pixels))
    quantized = quantize_static(reduced, images)
    network = integer_reference(quantized)
    found, expected = network.context_sums(pixels[:1]), naive_sums(quantized, pixels[0])
    assert found.keys() == expected.keys()
    for name, sums in found.items():
        np.testing.assert_array_equal(sums[0].numpy(), expected[name])
    for layer in quantized.layers.values():
        assert np.abs(layer.weight.values).max() <= 127
        assert (layer.weight.scale > 0).all()
        assert layer.output_scale > 0
    error = network.logits(pixels) - model(images).detach().numpy()
    assert np.abs(error).max() < 0.05 * float(model(images).abs().max().detach())


@torch.no_grad()
def test_biases_next_to_a_half_are_the_same_integers_in_the_graph(
    reduced: ReducedNetwork, pixels: NDArray[np.uint8]
) -> None:
    """Those of the first layer, to which the zero point of pixels is added in float32."""
    quantized = quantize_static(reduced, torch.from_numpy(normalise(pixels)))
    layer = quantized.layers["backbone.0"]
    scale = layer.input_scale * layer.weight.scale.astype(np.float64)
    sums = layer.weight.values.sum(axis=(1, 2, 3), dtype=np.int64)
    halves = (np.arange(len(sums)) * 100 + 0.5 + layer.input_zero_point * sums) * scale
    layer = replace(layer, weight=replace(layer.weight, bias=halves.astype(np.float32)))
    layers = {**quantized.layers, "backbone.0": layer}
    network = quantized_network(reduced, replace(quantized, layers=layers))
    graph = quantize_graph(network.module, network.scales, OFFSET, SCALE)
    first = next(
        binding.value.args[1].value.numpy().ravel()
        for block in graph["main"].body.blocks
        for binding in block.bindings
        if isinstance(binding.value, tvm.relax.Call)
        and binding.value.op.name == "relax.add"
        and str(binding.var.ty.dtype) == "int32"
    )
    assert len(first) > 30
    assert set(first.tolist()) <= set(layer.bias.tolist())


@pytest.fixture(scope="module")
def quantized_hostile(model: LPRNet, pixels: NDArray[np.uint8]) -> CompilerInput:
    """Rounding makes some of its channels constant, which the compiler then drops."""
    hostile = copy.deepcopy(model)
    with torch.no_grad():
        convolution(hostile, "backbone.8.block.0").weight[:3] = 1e-30
        bias = convolution(hostile, "backbone.8.block.0").bias
        assert bias is not None
        bias[:3] = 1.0
        convolution(hostile, "backbone.16").weight[:, 1] *= 1e-6
        reduced = reduce(hostile)
        return quantized_network(
            reduced, quantize_static(reduced, torch.from_numpy(normalise(pixels)))
        )


@torch.no_grad()
@pytest.mark.parametrize("name", ["broadwell", "skylake-avx512"])
def test_pairs_are_those_that_kernels_add(quantized_hostile: CompilerInput, name: str) -> None:
    """Also where rounding makes channels constant."""
    conv, layer = (
        read_convolutions(quantized_hostile.module["main"])[4],
        quantized_hostile.scales[4],
    )
    assert layer is not None
    assert np.abs(conv.weight / layer.weight_scales[:, None, None, None]).max() > 64
    lower_network(quantized_hostile, find_target(name), ConstantPool())  # checks every pair


@torch.no_grad()
def test_weights_only_keeps_the_logits(
    model: LPRNet, reduced: ReducedNetwork, pixels: NDArray[np.uint8]
) -> None:
    images = torch.from_numpy(normalise(pixels))
    rounded = quantize_weights(reduced.compact, images)
    tensors = {name: weight.tensors() for name, weight in rounded.items()}
    real = compact_network(reduced.architecture, tensors)
    error = real.logits(images) - model(images)
    assert float(error.abs().max()) < 0.03 * float(model(images).abs().max())
    for weight in rounded.values():
        assert np.abs(weight.values).max() <= 127
        assert (weight.scale > 0).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_constant_image_calibrates(reduced: ReducedNetwork, value: int) -> None:
    pixels = np.full((1, 24, 94, 3), value, np.uint8)
    quantized = quantize_static(reduced, torch.from_numpy(normalise(pixels)))
    assert np.isfinite(integer_reference(quantized).logits(pixels)).all()


def test_zero_channels_and_huge_biases_stay_finite(
    model: LPRNet, pixels: NDArray[np.uint8]
) -> None:
    hostile = copy.deepcopy(model)
    with torch.no_grad():
        convolution(hostile, "backbone.4.block.0").weight[:5] = 0.0
        convolution(hostile, "backbone.8.block.2").weight[3] = 1e-30
        bias = convolution(hostile, "backbone.8.block.2").bias
        assert bias is not None
        bias[3] = 1e6
        convolution(hostile, "backbone.16").weight.zero_()
    images = torch.from_numpy(normalise(pixels))
    quantized = quantize_static(reduce(hostile), images)
    logits = integer_reference(quantized).logits(pixels)
    assert np.isfinite(logits).all()
    expected = hostile(images).detach().numpy()
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()


@torch.no_grad()
def test_a_layer_of_zeros_leaves_the_others_in_range(
    model: LPRNet, pixels: NDArray[np.uint8]
) -> None:
    """After it all is constant, and what rounding empties there makes quantization start again."""
    hostile = copy.deepcopy(model)
    for parameter in convolution(hostile, "backbone.8.block.2").parameters():
        parameter.zero_()
    quantized = quantize_static(reduce(hostile), torch.from_numpy(normalise(pixels)))
    largest = max(
        float(convolution(hostile, layer.name).weight.abs().max())
        for layer in LPRNET_CHINA.backbone
    )
    for weight in (layer.weight for layer in quantized.layers.values()):
        used = weight.values.any(axis=(1, 2, 3))
        assert (weight.scale[used] * 127 < 1e4 * largest).all()


def test_what_cannot_be_calibrated_is_refused(reduced: ReducedNetwork) -> None:
    with pytest.raises(UserError, match="at least one calibration image"):
        quantize_static(reduced, torch.zeros(0, 3, 24, 94))
    with pytest.raises(UserError, match="NaN"):
        quantize_weights(reduced.compact, torch.full((1, 3, 24, 94), float("nan")))


def test_scales_of_nothing_are_positive() -> None:
    assert activation_scale(torch.zeros(10), 255) > 0
    assert (weight_scales(torch.zeros(3, 2, 1, 1), 127) > 0).all()


def test_a_clipped_outlier_costs_less_than_a_coarse_step() -> None:
    values = torch.linspace(0, 1, 100_000)
    values[-1] = 2.0
    assert activation_scale(values, 15) < 1.5 / 15


@torch.no_grad()
def test_real_plates_read_the_same_in_integers(real_data: RealData) -> None:
    files = calibration_files(real_data.images)[:24]
    pixels = read_images(files)
    images = torch.from_numpy(normalise(pixels))
    model = load_model(real_data.checkpoint)
    model.context_means = calibrate_context_means(model, images)
    network = integer_reference(quantize_static(reduce(model), images[:8]))
    same = (network.logits(pixels).argmax(axis=1) == model(images).numpy().argmax(axis=1)).mean()
    assert same > 0.98
