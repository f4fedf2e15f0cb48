"""Every integer kernel under its schedule, bit for bit what NumPy computes in int64."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lprnet.compiler.targets import Target
from relay_passes.lowering.check_int16_results import fit_int16
from schedules.average_pools import pool_tile
from schedules.isa import AVX2, AVX512_VNNI, Dot4, Isa
from schedules.packed_conv2d import packed_conv2d
from schedules.register_tiles import Tile
from schedules.split_lanes import choose_split
from schedules.workloads.float import MaxPool
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from tests.schedules.kernel_runner import TARGETS, packed_for, run

Integers = NDArray[np.int64]

few = settings(max_examples=6, derandomize=True)


def sums(data: Integers, weight: Integers) -> Integers:
    """HWC by OIHW, no padding: `(H, W, O)`."""
    x = sliding_window_view(data, weight.shape[2:], (0, 1))
    exact: Integers = np.einsum("hwcij,ocij->hwo", x, weight)
    assert abs(exact).max(initial=0) < 2**31
    return exact


def requantized(total: Integers, multiplier: NDArray[np.float32], levels: int) -> NDArray[np.uint8]:
    """Two float32 have an exact product in float64."""
    scaled = total.astype("int32").astype("float32").astype("float64") * multiplier
    return np.rint(scaled).clip(0, levels).astype("uint8")


def run_conv2d(
    target: Target,
    data: Integers,
    weight: Integers,
    bias: Integers,
    multiplier: NDArray[np.float32],
    levels: int,
    row_stride: int = 1,
) -> NDArray[np.uint8]:
    """The kernel's output channels; the lanes that pad the last vector must be zero. The schedule
    for results that fit int16 must give the same where they do.
    """
    out_channels, channels, kernel_height, kernel_width = weight.shape
    height, width = (
        (data.shape[0] - kernel_height) // row_stride + 1,
        data.shape[1] - kernel_width + 1,
    )
    shape = (height, width, channels, kernel_height, kernel_width, out_channels)
    workload = packed_for(QuantizedConv2d(*shape, 8, levels, row_stride=row_stride), target.isa)
    assert isinstance(workload, QuantizedConv2d)
    block, padded = workload.block, workload.blocks * workload.block
    packed = np.zeros(
        (workload.blocks, kernel_height, kernel_width, channels // 4, block, 4), "int8"
    )
    for (o, c, i, j), value in np.ndenumerate(weight):
        packed[o // block, i, j, c // 4, o % block, c % 4] = value
    biases, multipliers = np.zeros(padded, "int32"), np.zeros(padded, "float32")
    biases[:out_channels], multipliers[:out_channels] = bias, multiplier
    operands = (data.astype("uint8"), packed, biases, multipliers)
    got = run(workload, target, *operands)
    assert not got[..., out_channels:].any()
    if fit_int16(weight.astype("int8"), bias.astype("int32"), multiplier, int(data.max())):
        quicker = run(replace(workload, int16_results=True), target, *operands)
        np.testing.assert_array_equal(quicker, got)
    return got[..., :out_channels].astype("uint8")


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 9),
    groups=st.integers(1, 5),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    out_channels=st.integers(1, 70),
    levels=st.sampled_from([127, 255]),
    seed=st.integers(0, 1000),
    row_stride=st.integers(1, 3),
)
def test_any_convolution(
    target: Target,
    height: int,
    width: int,
    groups: int,
    kernel: tuple[int, int],
    out_channels: int,
    levels: int,
    seed: int,
    row_stride: int,
) -> None:
    rng = np.random.default_rng(seed)
    row_stride = row_stride if height > 1 else 1
    largest = {127: 127, 255: 63}[levels]
    shape = ((height - 1) * row_stride + kernel[0], width + kernel[1] - 1, 4 * groups)
    data = rng.integers(0, levels + 1, shape)
    weight = rng.integers(-largest, largest + 1, (out_channels, 4 * groups, *kernel))
    bias = rng.integers(-20_000, 20_000, out_channels)
    total = sums(data, weight)[::row_stride] + bias
    multiplier = (rng.uniform(0.3, 2, out_channels) * levels / abs(total).max()).astype("float32")
    got = run_conv2d(target, data, weight, bias, multiplier, levels, row_stride)
    np.testing.assert_array_equal(got, requantized(total, multiplier, levels))


@pytest.mark.parametrize("target", TARGETS[2:])
@pytest.mark.parametrize("out_channels", [3, 8, 20, 24, 33, 39])
@pytest.mark.parametrize("groups", [2, 4, 7])
@pytest.mark.parametrize("row_stride", [1, 2])
def test_channels_that_share_lanes(
    target: Target, out_channels: int, groups: int, row_stride: int
) -> None:
    """A half and a quarter of a vector, alone and beside whole ones, with groups of inputs left
    over and channels that only pad.
    """
    rng = np.random.default_rng(out_channels + groups)
    data = rng.integers(0, 256, (3 * row_stride + 1, 8, 4 * groups))
    weight = rng.integers(-127, 128, (out_channels, 4 * groups, 1, 3))
    bias = rng.integers(-20_000, 20_000, out_channels)
    total = sums(data, weight)[::row_stride] + bias
    multiplier = (rng.uniform(0.3, 2, out_channels) * 255 / abs(total).max()).astype("float32")
    shape = (4, 6, 4 * groups, 1, 3, out_channels)
    packed = packed_for(QuantizedConv2d(*shape, 8, 255, row_stride=row_stride), target.isa)
    assert isinstance(packed, QuantizedConv2d)
    split = choose_split(packed, target.isa)
    assert split is not None or (groups < 4 and out_channels in (3, 20, 33))
    got = run_conv2d(target, data, weight, bias, multiplier, 255, row_stride)
    np.testing.assert_array_equal(got, requantized(total, multiplier, 255))


@pytest.mark.parametrize(
    ("out_channels", "isa", "said"),
    [
        (24, AVX512_VNNI, "2x6 pixels x 1 vectors and a half"),
        (20, AVX512_VNNI, "2x6 pixels x 1 vectors and a quarter"),
        (28, AVX512_VNNI, "None"),
        (32, AVX512_VNNI, "None"),
        (20, AVX2, "None"),
    ],
)
def test_which_channels_share_lanes(out_channels: int, isa: Isa, said: str) -> None:
    workload = packed_for(QuantizedConv2d(20, 90, 24, 3, 1, out_channels, 8, 255), isa)
    assert isinstance(workload, QuantizedConv2d)
    assert str(choose_split(workload, isa)) == said


SIGNS = {
    "all positive": (1, 1, 1, 1),
    "all negative": (-1, -1, -1, -1),
    "alternating": (1, -1, 1, -1),
    "pairs": (1, 1, -1, -1),
}
CORNERS = [(255, 63), (127, 127), (255, 64)]
"""(activation, weight): 8 with 7 bits, 7 with 8 bits, and the largest pair that fits 16 bits."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("activation", "weight"), CORNERS)
def test_extreme_sums_do_not_saturate(target: Target, activation: int, weight: int) -> None:
    """Each output channel has one pattern of signs; biases bring each sum to a small number of its
    own, so that an error of one unit shows.
    """
    shape = (64, 3, 1)
    data = np.full((4, 3, shape[0]), activation)
    rows = [np.resize(signs, shape[0])[:, None, None] for signs in SIGNS.values()]
    weights = np.stack([np.broadcast_to(weight * row, shape) for row in rows])
    exact = sums(data, weights)
    wanted = np.array([3, 100, 127, 64])
    got = run_conv2d(target, data, weights, wanted - exact[0, 0], np.ones(4, "float32"), 127)
    np.testing.assert_array_equal(got, np.broadcast_to(wanted, exact.shape))


@pytest.mark.parametrize("target", TARGETS)
def test_beyond_the_corners_only_vnni_is_exact(target: Target) -> None:
    """Why quantization keeps to 15 bits a product: two of 16 bits saturate `vpmaddubsw`."""
    data, weights = np.full((1, 1, 4), 255), np.full((1, 4, 1, 1), 127)
    exact = int(sums(data, weights)[0, 0, 0])
    bias, one = np.array([100 - exact]), np.ones(1, "float32")
    got = run_conv2d(target, data, weights, bias, one, 255)
    assert (got.item() == 100) == (target.isa.dot4 is Dot4.AVX512_VNNI)


@pytest.mark.parametrize("target", TARGETS)
def test_requantization_rounds_ties_to_even_and_clamps(target: Target) -> None:
    """Sums of -3 to 600 by one half: .5 goes to the even neighbour, ends are 0 and the levels."""
    bias = np.arange(-3, 601)
    data, weights = np.zeros((1, 1, 4), int), np.zeros((len(bias), 4, 1, 1), int)
    half = np.full(len(bias), 0.5, "float32")
    for levels in (127, 255):
        got = run_conv2d(target, data, weights, bias, half, levels)
        expected = [min(max(round(value / 2), 0), levels) for value in range(-3, 601)]
        np.testing.assert_array_equal(got[0, 0], expected)


def requantize_each(
    target: Target, totals: Integers, multipliers: NDArray[np.float32], levels: int
) -> NDArray[np.uint8]:
    """Sums that are biases alone, a channel each, through the kernel's epilogue."""
    data, weights = np.zeros((1, 1, 4), int), np.zeros((len(totals), 4, 1, 1), int)
    got = run_conv2d(target, data, weights, totals, multipliers, levels)
    return got.reshape(-1)


@pytest.mark.parametrize("target", TARGETS)
def test_a_product_is_rounded_once(target: Target) -> None:
    """float32(1 / 6) is a little more than a sixth: three of it round to 1, but to a tie and then
    to 0 if the product is rounded to float32 before.
    """
    sixth = np.float32(1 / 6)
    assert np.float32(3) * sixth == 0.5
    totals = np.array([3, -3, 9, 15])
    got = requantize_each(target, totals, np.full(4, sixth), 255)
    np.testing.assert_array_equal(got, [1, 0, 2, 3])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("levels", [127, 255])
def test_any_sum_by_any_multiplier(target: Target, levels: int) -> None:
    """Every int32 has its place in 0 to `levels`, by subnormal multipliers and by the largest."""
    rng = np.random.default_rng(levels)
    corners = [0, 1, -1, 127, 255, 2**23, 2**24 + 1, 2**31 - 1, -(2**31)]
    factors = [1e-45, 1e-38, 2.0**-31, 1 / 3, 0.5, 1, 2, 2.0**23, 3.4e38]
    pairs = np.array([(total, factor) for total in corners for factor in factors])
    near = rng.integers(-(2**31), 2**31, 4000)
    signed = rng.uniform(-2, levels + 2, len(near)) / near
    totals = np.concatenate([pairs[:, 0].astype("int64"), near])
    multipliers = np.concatenate([pairs[:, 1], signed]).astype("float32")
    got = requantize_each(target, totals, multipliers, levels)
    np.testing.assert_array_equal(got, requantized(totals, multipliers, levels))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("levels", [127, 255])
def test_every_result_that_fits_int16(target: Target, levels: int) -> None:
    """From the least to the largest that `fit_int16` allows, each by its own channel."""
    totals = np.arange(-(2**15) + 2, 2**15 - 1)
    for start in range(0, len(totals), 4096):
        part = totals[start : start + 4096]
        one = np.ones(len(part), "float32")
        assert fit_int16(np.zeros((len(part), 4, 1, 1), "int8"), part.astype("int32"), one, 255)
        np.testing.assert_array_equal(
            requantize_each(target, part, one, levels), part.clip(0, levels)
        )


@pytest.mark.parametrize("target", TARGETS)
def test_the_largest_accumulators_stay_exact(target: Target) -> None:
    """Biases of +-2**30 beside products, as `lprnet/model/quantized.py` allows."""
    data, weights = np.full((1, 1, 4), 255), np.full((3, 4, 1, 1), 63)
    bias = np.array([2**30, -(2**30), 2**30 - 1])
    multiplier = np.full(3, 200 / 2**30, "float32")
    total = sums(data, weights) + bias
    got = run_conv2d(target, data, weights, bias, multiplier, 255)
    np.testing.assert_array_equal(got, requantized(total, multiplier, 255))


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    height=st.integers(1, 4),
    width=st.integers(2, 46),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.integers(2, 80),
)
@example(height=2, width=1, stride=(1, 1), channels=5)
@example(height=5, width=9, stride=(2, 1), channels=70)
def test_max_pool(
    target: Target, height: int, width: int, stride: tuple[int, int], channels: int
) -> None:
    row_stride = stride[0] if height > 1 else 1
    shape = ((height - 1) * row_stride + 3, (width - 1) * stride[1] + 3, channels)
    data = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")
    workload = MaxPool(height, width, stride[1], channels, "uint8", row_stride)
    got = run(workload, target, data)
    expected = sliding_window_view(data, (3, 3), (0, 1))[:: stride[0], :: stride[1]].max((3, 4))
    np.testing.assert_array_equal(got, expected)


def average_pooled(target: Target, workload: DequantizedAveragePool, largest: bool) -> None:
    """Compare with NumPy: the integer sum is exact, so only the multiplication by a constant
    rounds. `largest`: every value is 255.
    """
    rows, columns = (
        (extent - 1) * step + size
        for extent, step, size in zip(
            (workload.height, workload.width), workload.stride, workload.kernel, strict=True
        )
    )
    lowest = 255 if largest else 0
    shape = (rows, columns, workload.channels)
    data = np.random.default_rng(0).integers(lowest, 256, shape, dtype="uint8")
    x = sliding_window_view(data.astype("int64"), workload.kernel, (0, 1))
    x = x[:: workload.stride[0], :: workload.stride[1]]
    factor = np.float32(workload.scale / (workload.kernel[0] * workload.kernel[1]))
    expected = x.sum((3, 4)).astype("float32") * factor
    np.testing.assert_array_equal(run(workload, target, data), expected)


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 18), st.integers(2, 100)),
    kernel=st.tuples(st.integers(1, 20), st.integers(1, 12)),
    strides=st.tuples(st.integers(1, 5), st.integers(1, 12)),
)
def test_any_dequantized_average_pool(
    target: Target,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
) -> None:
    average_pooled(target, DequantizedAveragePool(*shape, kernel, strides, 0.0123), False)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [
        ((16, 10), (1, 2)),
        ((20, 5), (1, 5)),
        ((4, 1), (1, 1)),
        ((257, 1), (1, 1)),
        ((2, 129), (1, 3)),
    ],
    ids=str,
)
def test_largest_sums_of_average_pools(
    target: Target, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    """257 values are the most that 16 bits hold, 258 need more."""
    average_pooled(target, DequantizedAveragePool(1, 3, 80, kernel, stride, 0.0123), True)


@pytest.mark.parametrize(
    ("kernel", "stride", "isa", "said"),
    [
        ((16, 10), 2, AVX512_VNNI, "1x2 pixels x 3 vectors of uint16, 5 strips a window"),
        ((20, 5), 5, AVX2, "1x5 pixels x 5 vectors of uint16"),
        ((258, 1), 1, AVX2, "1x1 pixels x 10 vectors of int32"),
        ((9, 4), 3, AVX2, "1x1 pixels x 5 vectors of uint16, 4 strips a window"),
    ],
)
def test_strips_of_average_pools(kernel: tuple[int, int], stride: int, isa: Isa, said: str) -> None:
    workload = DequantizedAveragePool(1, 18, 80, kernel, (1, stride), 0.1)
    assert str(pool_tile(workload, isa)) == said


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_group_channels(target: Target, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, channels), dtype="uint8")
    got = run(GroupChannels(3, 5, channels), target, pixels)
    assert got.shape[2] % 4 == 0
    np.testing.assert_array_equal(got[..., :channels], pixels)
    assert not got[..., channels:].any()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(2, 3, 3), (3, 5, 48), (8, 8, 4)])
def test_look_up(target: Target, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    data, table = (rng.integers(0, 256, extents, dtype="uint8") for extents in (shape, 256))
    np.testing.assert_array_equal(run(LookUp(*shape), target, data, table), table[data])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(1, 3, 1, 5, 48), (2, 1, 1, 7, 16)])
def test_dequantize_weight(target: Target, shape: tuple[int, int, int, int, int]) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, shape).astype("int8")
    scale = rng.uniform(1e-4, 1, (shape[0], shape[-1])).astype("float32")
    got = run(DequantizeWeight(*shape), target, weight, scale)
    np.testing.assert_array_equal(got, weight.astype("float32") * scale[:, None, None, None])


def test_weights_that_are_packed_for_another_tile_are_refused() -> None:
    """With blocks of three vectors and a tile of one, two thirds of the channels were wrong."""
    workload = QuantizedConv2d(4, 8, 16, 1, 1, 24, 24, 255, int16_results=True)
    with pytest.raises(ValueError, match="packed for no tile"):
        packed_conv2d(workload, Tile(1, 8, 1), AVX2)
