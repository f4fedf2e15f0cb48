"""Quantization against an independent integer reference, hostile input, and real plates."""

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibration_files, read_images
from lprnet.compression.compact import compact
from lprnet.compression.quantize.integer_reference import integer_network
from lprnet.compression.quantize.post_training import static, weights_only
from lprnet.compression.quantize.scale_search import activation_scale, weight_scales
from lprnet.compression.variants import quantized_network
from lprnet.model.checkpoint import load_model
from lprnet.model.conv_graph import LAYERS, convolution
from lprnet.model.lprnet import CONTEXT_POOLS, LPRNet, calibrate_context_means
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import Quantization
from lprnet.support.errors import UserError
from tests.conftest import RealData

Integers = NDArray[np.int64]


@pytest.fixture(scope="module")
def model() -> LPRNet:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.01,) * 4).eval()
    with torch.no_grad():
        for layer in LAYERS:  # Kaiming, so that activations stay in range through 15 layers
            torch.nn.init.kaiming_normal_(convolution(model, layer.name).weight)
            convolution(model, layer.name).weight[8::2] = 0.0  # and the tests quick
    return model


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


def naive_max_pool(x: Integers, channel_stride: int, width_stride: int) -> Integers:
    x = x[::channel_stride]
    height, width = x.shape[1] - 2, (x.shape[2] - 3) // width_stride + 1
    windows = [
        x[:, i : i + height, j : j + (width - 1) * width_stride + 1 : width_stride]
        for i in range(3)
        for j in range(3)
    ]
    highest: Integers = np.max(windows, axis=0)
    return highest


def naive_sums(quantization: Quantization, image: NDArray[np.uint8]) -> list[Integers]:
    """Written from the formula alone: NumPy, int64, full shapes, no code of the package."""
    outputs: dict[str, Integers] = {}
    sums = []
    for layer in LAYERS:
        if layer.source is None:
            x = image.transpose(2, 0, 1).astype(np.int64)
        else:
            x = outputs[layer.source]
        if layer.pool is not None:
            x = naive_max_pool(x, *layer.pool)
        quantized = quantization.layers[layer.name]
        acc = naive_convolution(
            x, quantized.weight.values.astype(np.int64), quantized.bias.astype(np.int64)
        )
        scaled = acc.astype(np.float32).astype(np.float64) * quantized.multiplier[:, None, None]
        outputs[layer.name] = np.clip(np.rint(scaled), 0, quantization.levels).astype(np.int64)
        if layer.context is not None:
            pool = CONTEXT_POOLS[layer.context]
            y = outputs[layer.name]
            if pool is not None:
                (rows, columns), (down, right) = pool
                y = np.array(
                    [
                        [
                            y[:, h * down : h * down + rows, w * right : w * right + columns].sum(
                                axis=(1, 2)
                            )
                            for w in range(18)
                        ]
                        for h in range(4)
                    ]
                ).transpose(2, 0, 1)
            sums.append(y)
    return sums


@torch.no_grad()
def test_integers_are_exact(model: LPRNet, pixels: NDArray[np.uint8]) -> None:
    images = torch.from_numpy(normalise(pixels))
    quantization = static(model, images)
    network = integer_network(quantization)
    for ours, naive in zip(
        network.context_sums(pixels[:1]), naive_sums(quantization, pixels[0]), strict=True
    ):
        kept = naive[np.any(naive != 0, axis=(1, 2))]
        mine = ours[0].numpy()[np.any(ours[0].numpy() != 0, axis=(1, 2))]
        assert np.array_equal(mine, kept)
    for layer in quantization.layers.values():
        assert np.abs(layer.weight.values).max() <= 127
        assert (layer.weight.scale > 0).all()
        assert layer.output_scale > 0
    error = network.logits(pixels) - model(images).detach().numpy()
    assert np.abs(error).max() < 0.05 * float(model(images).abs().max().detach())


@pytest.fixture(scope="module")
def quantized_hostile(model: LPRNet, pixels: NDArray[np.uint8]) -> Quantization:
    """Rounding makes some of its channels constant, which the compiler then drops."""
    hostile = copy.deepcopy(model)
    with torch.no_grad():
        convolution(hostile, "backbone.8.block.0").weight[:3] = 1e-30
        bias = convolution(hostile, "backbone.8.block.0").bias
        assert bias is not None
        bias[:3] = 1.0
        convolution(hostile, "backbone.16").weight[:, 1] *= 1e-6
        return static(hostile, torch.from_numpy(normalise(pixels)))


@torch.no_grad()
@pytest.mark.parametrize("name", ["broadwell", "skylake-avx512"])
def test_pairs_are_those_that_kernels_add(quantized_hostile: Quantization, name: str) -> None:
    """Also where rounding makes channels constant."""
    layers = quantized_hostile.layers.values()
    assert max(np.abs(layer.weight.values).max() for layer in layers) > 64
    target = find_target(name)
    pool = ConstantPool()
    lower_network(quantized_network(quantized_hostile), target, pool)  # checks every pair


@torch.no_grad()
def test_weights_only_keeps_the_logits(model: LPRNet, pixels: NDArray[np.uint8]) -> None:
    images = torch.from_numpy(normalise(pixels))
    quantized = weights_only(model, images)
    error = compact(quantized.model).logits(images) - model(images)
    assert float(error.abs().max()) < 0.03 * float(model(images).abs().max())
    for name, weight in quantized.weights.items():
        on_grid = weight.values * weight.scale[:, None, None, None]
        assert np.allclose(on_grid, convolution(quantized.model, name).weight, atol=1e-6)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_constant_image_calibrates(model: LPRNet, value: int) -> None:
    pixels = np.full((1, 24, 94, 3), value, np.uint8)
    quantization = static(model, torch.from_numpy(normalise(pixels)))
    assert np.isfinite(integer_network(quantization).logits(pixels)).all()


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
    quantization = static(hostile, images)
    logits = integer_network(quantization).logits(pixels)
    assert np.isfinite(logits).all()
    wanted = hostile(images).detach().numpy()
    assert np.abs(logits - wanted).max() < 0.05 * np.abs(wanted).max()


@torch.no_grad()
def test_a_layer_that_says_nothing_leaves_the_others_in_range(
    model: LPRNet, pixels: NDArray[np.uint8]
) -> None:
    """Behind it all is constant, and what rounding drops there makes quantization start again."""
    hostile = copy.deepcopy(model)
    for parameter in convolution(hostile, "backbone.8.block.2").parameters():
        parameter.zero_()
    quantization = static(hostile, torch.from_numpy(normalise(pixels)))
    largest = max(float(convolution(hostile, layer.name).weight.abs().max()) for layer in LAYERS)
    scales = [layer.weight.scale.max() * 127 for layer in quantization.layers.values()]
    assert max(scales) < 1e4 * largest


def test_what_cannot_be_calibrated_is_refused(model: LPRNet) -> None:
    with pytest.raises(UserError, match="at least one calibration image"):
        static(model, torch.zeros(0, 3, 24, 94))
    with pytest.raises(UserError, match="NaN"):
        weights_only(model, torch.full((1, 3, 24, 94), float("nan")))
    broken = copy.deepcopy(model)
    with torch.no_grad():
        convolution(broken, "backbone.0").weight[0] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        static(broken, torch.zeros(1, 3, 24, 94))


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
    network = integer_network(static(model, images[:8]))
    same = (network.logits(pixels).argmax(axis=1) == model(images).numpy().argmax(axis=1)).mean()
    assert same > 0.98
