"""Integer Winograd kernels, bit for bit what NumPy computes in int64, where there is no VNNI."""

import functools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.compiler.targets import Target
from schedules.apply import conv2d_tile, schedule
from schedules.isa import Dot4
from schedules.winograd.cook_toom_integer import integer_filter
from schedules.winograd.s16 import integer_winograd_conv2d
from schedules.winograd.s16_tiles import (
    OUTPUTS,
    IntegerWinogradTile,
    choose_integer_winograd,
    legal_integer_winograd_tiles,
)
from schedules.workloads.integer import QuantizedConv2d
from schedules.workloads.match import match
from tests.schedules.kernel_runner import TARGETS
from tests.schedules.test_integer_kernels import Integers, requantized, sums
from tests.schedules.winograd.integer_layers import (
    check_requantized,
    data_shape,
    packed,
    run_integer_kernel,
    weight_shape,
)

WORDS = TARGETS[:2]
"""AVX2 and AVX-512BW."""

few = settings(max_examples=8, derandomize=True)

winograd = functools.lru_cache(maxsize=1)(integer_winograd_conv2d)
"""One kernel for all operands of a test, so that `call` compiles it once."""

LAYERS = [
    QuantizedConv2d(20, 90, 32, 3, 1, 31, 8, 127),
    QuantizedConv2d(20, 90, 32, 1, 3, 32, 8, 127),
    QuantizedConv2d(18, 44, 64, 3, 1, 61, 8, 127),
    QuantizedConv2d(18, 44, 64, 1, 3, 41, 8, 127),
    QuantizedConv2d(18, 44, 52, 1, 3, 60, 8, 255),
]
"""The public checkpoint's, dead channels left out."""


def run(
    workload: QuantizedConv2d,
    tile: IntegerWinogradTile,
    target: Target,
    data: Integers,
    weight: Integers,
    bias: Integers,
    multiplier: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """As `run_integer_kernel`, of `tile`'s kernel."""
    function = winograd(workload, tile, target.isa)
    return run_integer_kernel(function, workload, target, data, weight, bias, multiplier)


def check_random(
    workload: QuantizedConv2d, tile: IntegerWinogradTile, target: Target, seed: int
) -> None:
    """Any bytes at all, -128 and 255 among them."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, data_shape(workload))
    weight = rng.integers(-128, 128, weight_shape(workload))
    check_requantized(partial(run, workload, tile, target), workload.qmax, data, weight, rng)


@pytest.mark.parametrize("target", WORDS)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_lprnets_layers(layer: QuantizedConv2d, target: Target) -> None:
    """All of them are Winograd's without VNNI, and their definition stays the direct one."""
    workload = packed(layer, target)
    tile = choose_integer_winograd(workload, conv2d_tile(workload, target.isa), target.isa)
    assert tile is not None
    function, words = schedule(workload, target.isa)
    assert words == str(tile)
    assert function.attrs["levels"] == layer.qmax
    assert match(workload.prim_func()) == workload
    check_random(workload, tile, target, 0)


@pytest.mark.parametrize("target", WORDS)
@few
@given(data=st.data())
def test_any_outputs_channels_and_tile(target: Target, data: st.DataObject) -> None:
    outputs = data.draw(st.sampled_from(OUTPUTS), "outputs")
    runs, across = data.draw(st.integers(1, 3), "runs"), data.draw(st.integers(1, 5), "across")
    channels = 4 * data.draw(st.integers(1, 13), "groups")
    out_channels = data.draw(st.integers(1, 70), "out_channels")
    levels = data.draw(st.sampled_from([127, 255]), "levels")
    extents = (runs * outputs, across, channels, 3, 1)
    if data.draw(st.booleans(), "horizontal"):
        extents = (across, runs * outputs, channels, 1, 3)
    workload = packed(QuantizedConv2d(*extents, out_channels, 8, levels), target)
    tiles = list(legal_integer_winograd_tiles(workload, outputs, target.isa))
    tile = data.draw(st.sampled_from(tiles), "tile")
    check_random(workload, tile, target, data.draw(st.integers(0, 99), "seed"))


@pytest.mark.parametrize("target", WORDS)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_extremes_are_exact(target: Target, outputs: int) -> None:
    """Inputs and weights that make single products, and with 64 channels their sums, as large as
    they can be: for each row of either matrix the bytes of its signs. The sums of products wrap,
    for F(6, 3) at least, and nothing saturates; biases bring each sum to a small number.
    """
    algorithm = integer_filter(outputs)
    channels = 64
    weights = [
        np.where(np.array(row) > 0, sign * 127, -sign * 128 if sign > 0 else 127)
        for row in algorithm.weight
        for sign in (1, -1)
    ]
    weight = np.stack([np.broadcast_to(taps[:, None], (channels, 3, 1)) for taps in weights])
    workload = packed(QuantizedConv2d(outputs, 1, channels, 3, 1, len(weight), 8, 127), target)
    tile = next(iter(legal_integer_winograd_tiles(workload, outputs, target.isa)))
    ones = np.ones(len(weight), "float32")
    for row in algorithm.input:
        for sign in (1, -1):
            pixels = np.where(sign * np.array(row) > 0, 255, 0)
            data = np.broadcast_to(pixels[:, None, None], (len(row), 1, channels))
            exact = sums(data, weight)
            bias = 60 - exact[0, 0]
            got = run(workload, tile, target, data, weight, bias, ones)
            np.testing.assert_array_equal(got, requantized(exact + bias, ones, 127))


@pytest.mark.parametrize("target", WORDS)
def test_large_biases_stay_exact(target: Target) -> None:
    """They are added after the division, which would not leave them their upper bits."""
    workload = packed(QuantizedConv2d(4, 2, 4, 3, 1, 3, 8, 255), target)
    tile = next(iter(legal_integer_winograd_tiles(workload, 4, target.isa)))
    data, weight = np.full((6, 2, 4), 255), np.full((3, 4, 3, 1), 127)
    bias = np.array([2**30, -(2**30), 2**30 - 1])
    multiplier = np.full(3, 200 / 2**30, "float32")
    got = run(workload, tile, target, data, weight, bias, multiplier)
    np.testing.assert_array_equal(got, requantized(sums(data, weight) + bias, multiplier, 255))


@pytest.mark.parametrize("target", TARGETS)
def test_what_has_no_tile(target: Target) -> None:
    layer = packed(LAYERS[2], target)
    exact = target.isa.dot4 is Dot4.AVX512_VNNI
    assert any(legal_integer_winograd_tiles(layer, 6, target.isa)) != exact, (
        "VNNI has no use for it"
    )
    for reason, workload, outputs in (
        ("18 rows are no runs of 4", layer, 4),
        ("five taps", replace(layer, kernel_height=5), 6),
        ("eight times a sum may leave int32", replace(layer, channels=4096), 6),
    ):
        assert not any(legal_integer_winograd_tiles(workload, outputs, target.isa)), reason
