"""Convolutions in bfloat16 on tile registers, against sums in float64, on a model of the
instructions.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.reports.prediction.amx import microseconds
from lprnet.reports.prediction.amx_layers import BF16, Layer
from schedules.amx.conv2d import tile_conv2d
from schedules.workloads.bfloat16 import BITS, Bf16Normalise, Bf16TileConv2d
from schedules.workloads.float import AveragePool, MaxPool
from schedules.workloads.match import match
from schedules.workloads.tile_conv import COLUMNS
from schedules.workloads.workload import Workload
from tests.schedules.amx.test_conv2d import HOST, machine_code
from tests.schedules.amx.tile_model import library, on_any_cpu
from tests.schedules.kernel_runner import call, run

Bits = NDArray[np.uint16]
EPSILON = 2.0**-24
"""Relative error of one rounding to float32; to bfloat16 it is 2**-8."""


def to_bfloat16(values: NDArray[np.floating]) -> Bits:
    """Bits of the nearest bfloat16, ties to even, by comparing with both neighbours in float64."""
    exact = values.astype(np.float32)
    below = (exact.view(np.uint32) >> 16).astype(np.uint16)  # towards zero
    above = (below + 1).astype(np.uint16)
    low, high = (abs(exact - real(bits).astype(np.float64)) for bits in (below, above))
    up = (high < low) | ((high == low) & (below % 2 == 1))
    return np.where(up, above, below).astype(np.uint16)


def real(bits: NDArray[np.generic]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def operands(
    workload: Bf16TileConv2d, seed: int
) -> tuple[tuple[NDArray[np.generic], ...], NDArray[np.float64], NDArray[np.float64]]:
    """The kernel's arguments, the exact results before ReLU and rounding, and the sums of the
    products' magnitudes.
    """
    rng = np.random.default_rng(seed)
    kernel = (workload.kernel_height, workload.kernel_width)
    data = to_bfloat16(rng.normal(size=workload.data_shape).clip(0))
    weight = to_bfloat16(rng.normal(size=(workload.out_channels, workload.channels, *kernel)))
    bias = rng.normal(size=workload.out_channels).astype(np.float32)
    shape = (workload.height, workload.width)
    windows = np.lib.stride_tricks.sliding_window_view(real(data), kernel, (0, 1))
    windows = windows[:: workload.row_stride]
    assert windows.shape[:2] == shape
    pair = (windows.astype(np.float64), real(weight).astype(np.float64))
    exact, magnitude = (
        np.einsum("hwcij,ocij->hwo", *map(change, pair)) for change in (np.asarray, np.abs)
    )
    padded = np.zeros((workload.padded_channels, *weight.shape[1:]), np.uint16)
    padded[: len(weight)] = weight
    tiles = padded.reshape(workload.blocks, COLUMNS, -1, 2, *kernel).transpose(0, 4, 5, 2, 1, 3)
    biases = np.pad(bias, (0, workload.padded_channels - len(bias)))
    arguments = (data, np.ascontiguousarray(tiles), biases.reshape(-1, COLUMNS))
    return arguments, exact + bias, magnitude + abs(bias)


def check(workload: Bf16TileConv2d, seed: int) -> None:
    arguments, exact, magnitude = operands(workload, seed)
    before = library().model_faults()
    got = call(on_any_cpu(tile_conv2d(workload)), HOST, *arguments)
    assert library().model_faults() == before
    assert not library().model_configured(), "tiles are released"
    within_bound(workload, got, exact, magnitude)
    if workload.window < 200:
        within_bound(workload, call(workload.prim_func(), HOST, *arguments), exact, magnitude)


def within_bound(
    workload: Bf16TileConv2d,
    got: NDArray[np.generic],
    exact: NDArray[np.float64],
    magnitude: NDArray[np.float64],
) -> None:
    """At most the error of as many float32 additions as there are products, and one rounding."""
    assert not got[..., workload.out_channels :].any()
    found = real(got[..., : workload.out_channels]).astype(np.float64)
    wanted = exact.clip(0)
    sums = (workload.window + 2) * EPSILON * magnitude
    assert (abs(found - wanted) <= sums + 2.0**-8 * (wanted + sums)).all()


@settings(max_examples=12, derandomize=True, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(2, 40),
    pairs=st.integers(1, 40),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    out_channels=st.integers(1, 140),
    seed=st.integers(0, 1000),
)
def test_any_convolution(
    height: int, width: int, pairs: int, kernel: tuple[int, int], out_channels: int, seed: int
) -> None:
    check(Bf16TileConv2d(height, width, 2 * pairs, *kernel, out_channels, COLUMNS), seed)


LAYERS = [
    Bf16TileConv2d(22, 92, 4, 3, 3, 64, COLUMNS),
    Bf16TileConv2d(20, 90, 32, 1, 1, 77, COLUMNS),
    Bf16TileConv2d(18, 44, 64, 3, 1, 64, COLUMNS),
    Bf16TileConv2d(10, 90, 32, 3, 1, 48, COLUMNS, row_stride=2),
    Bf16TileConv2d(16, 18, 32, 1, 4, 39, COLUMNS),
    Bf16TileConv2d(4, 18, 64, 13, 1, 16, COLUMNS),
]
"""Windows, tiles of channels and pieces of the reduction as in a network."""


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_layers_of_a_network(layer: Bf16TileConv2d) -> None:
    check(layer, 3)


@pytest.mark.parametrize(
    "workload",
    [
        *LAYERS[:2],
        Bf16Normalise(4, 12, 3, 127.5, 1 / 128),
        MaxPool(4, 12, 2, 32, BITS),
        AveragePool(2, 4, 32, (5, 5), (5, 5), BITS),
    ],
    ids=lambda workload: workload.name,
)
def test_a_kernel_is_recognised(workload: Workload) -> None:
    assert match(workload.prim_func()) == workload


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_machine_code_has_the_instructions_that_the_kernel_asks_for(layer: Bf16TileConv2d) -> None:
    """And no conversion by a function of a library."""
    assembly = machine_code(layer)
    assert "vcvtne" in assembly
    assert "__truncsfbf2" not in assembly


def test_products_of_one_place_in_a_pair_are_summed_first() -> None:
    """1 + 2**-24 + ... is 1 where the small products come one by one, and more where their own sum
    comes first: with the instruction's order the odd places' sum does.
    """
    workload = Bf16TileConv2d(1, 2, 32, 1, 1, 1, COLUMNS)
    values = np.zeros(workload.data_shape, np.float32)
    values[..., 1::2] = 2.0**-24
    values[..., 0] = 1.0
    weight = np.zeros((1, 1, 1, 16, COLUMNS, 2), np.uint16)
    weight[:, :, :, :, 0] = to_bfloat16(np.ones(1))
    bias = np.zeros((1, COLUMNS), np.float32)
    bias[0, 0] = -1.0
    arguments = (to_bfloat16(values), weight, bias)
    got = call(on_any_cpu(tile_conv2d(workload)), HOST, *arguments)
    assert (real(got[..., 0]) == 2.0**-20).all()
    assert not call(workload.prim_func(), HOST, *arguments).any()


def test_the_image() -> None:
    """Exactly: normalised pixels have 8 bits."""
    pixels = np.arange(4 * 64 * 3, dtype=np.uint8).reshape(4, 64, 3)
    got = run(Bf16Normalise(*pixels.shape, 127.5, 1 / 128), HOST, pixels)
    np.testing.assert_array_equal(real(got[..., :3]), (pixels.astype(np.float64) - 127.5) / 128)
    assert not got[..., 3:].any()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("row_stride", [1, 2])
def test_max_pool(stride: int, row_stride: int) -> None:
    workload = MaxPool(4, 5, stride, 32, BITS, row_stride)
    data = to_bfloat16(np.random.default_rng(0).normal(size=workload.read_shape).clip(0))
    got = run(workload, HOST, data)
    windows = np.lib.stride_tricks.sliding_window_view(real(data), (3, 3), (0, 1))
    np.testing.assert_array_equal(real(got), windows[::row_stride, ::stride].max((-2, -1)))


def test_average_pool() -> None:
    data = to_bfloat16(np.random.default_rng(0).normal(size=(8, 20, 32)).clip(0))
    got = run(AveragePool(2, 5, 32, (4, 4), (4, 4), BITS), HOST, data)
    exact = real(data).astype(np.float64).reshape(2, 4, 5, 4, 32).mean((1, 3))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.astype(np.float64), exact, rtol=1e-6)


@pytest.mark.parametrize("layer", BF16, ids=str)
def test_the_model_predicts_what_was_measured(layer: Layer) -> None:
    assert microseconds(Bf16TileConv2d(*layer, COLUMNS)) == pytest.approx(BF16[layer], rel=0.2)
