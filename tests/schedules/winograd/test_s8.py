"""Winograd kernels of bytes, bit for bit what NumPy computes in int64 by the definition."""

import functools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.compiler.targets import Target
from relay_passes.lowering.check_exact_winograd import winograd_is_exact
from relay_passes.lowering.check_int16_results import fit_int16
from schedules.apply import conv2d_tile, schedule
from schedules.winograd.s8 import byte_winograd_conv2d
from schedules.winograd.s8_tiles import (
    ByteWinogradTile,
    choose_byte_winograd,
    legal_byte_winograd_tiles,
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

VNNI = TARGETS[2:]

few = settings(max_examples=10, derandomize=True)

winograd = functools.lru_cache(maxsize=1)(byte_winograd_conv2d)
"""One kernel for all operands of a test, so that `call` compiles it once."""

LAYERS = [
    QuantizedConv2d(20, 90, 32, 3, 1, 32, 16, 127, True, True),
    QuantizedConv2d(20, 90, 32, 1, 3, 31, 16, 255, True, True),
    QuantizedConv2d(18, 44, 64, 3, 1, 61, 16, 127, True, True),
    QuantizedConv2d(18, 44, 64, 1, 3, 64, 16, 255, True, True),
]
"""LPRNet's."""


def even(weight: Integers) -> Integers:
    """OIHW, the last tap of each filter moved by one where their sum was odd."""
    moved: Integers = weight.copy()
    moved[..., -1, -1] -= weight.sum(axis=(2, 3)) % 2
    return moved


def run(
    workload: QuantizedConv2d,
    tile: ByteWinogradTile,
    target: Target,
    data: Integers,
    weight: Integers,
    bias: Integers,
    multiplier: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """As `run_integer_kernel`, of `tile`'s kernel; operands must be what the passes call exact."""
    narrow = weight.astype("int8"), bias.astype("int32")
    assert winograd_is_exact(*narrow, int(data.max()))
    assert fit_int16(*narrow, multiplier, int(data.max()))
    function = winograd(workload, tile, target.isa)
    return run_integer_kernel(function, workload, target, data, weight, bias, multiplier)


def check_random(
    workload: QuantizedConv2d, tile: ByteWinogradTile, target: Target, seed: int
) -> None:
    """Any inputs of 7 bits, 0 and 127 among them, and weights whose sums fit."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 128, data_shape(workload))
    weight = even(rng.integers(-84, 85, weight_shape(workload)))
    check_requantized(partial(run, workload, tile, target), workload.qmax, data, weight, rng)


@pytest.mark.parametrize("target", VNNI)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_lprnets_layers(layer: QuantizedConv2d, target: Target) -> None:
    """All of them are Winograd's with VNNI, and their definition stays the direct one."""
    workload = packed(layer, target)
    tile = choose_byte_winograd(workload, conv2d_tile(workload, target.isa), target.isa)
    assert tile is not None
    function, words = schedule(workload, target.isa)
    assert words == str(tile)
    assert function.attrs["levels"] == layer.qmax
    assert match(workload.prim_func()) == workload
    check_random(workload, tile, target, 0)


@pytest.mark.parametrize("target", VNNI)
@few
@given(data=st.data())
def test_any_channels_and_tile(target: Target, data: st.DataObject) -> None:
    pairs, across = data.draw(st.integers(1, 7), "pairs"), data.draw(st.integers(1, 7), "across")
    channels = 4 * data.draw(st.integers(1, 18), "groups")
    out_channels = data.draw(st.integers(1, 70), "out_channels")
    levels = data.draw(st.sampled_from([127, 255]), "levels")
    extents = (2 * pairs, across, channels, 3, 1)
    if data.draw(st.booleans(), "horizontal"):
        extents = (across, 2 * pairs, channels, 1, 3)
    workload = packed(QuantizedConv2d(*extents, out_channels, 8, levels, True, True), target)
    tiles = list(legal_byte_winograd_tiles(workload, target.isa))
    tile = data.draw(st.sampled_from(tiles), "tile")
    check_random(workload, tile, target, data.draw(st.integers(0, 99), "seed"))


@pytest.mark.parametrize("target", VNNI)
@pytest.mark.parametrize("inputs", [(127, 0, 0, 127), (0, 127, 127, 0), (0, 0, 127, 127)])
def test_extremes_are_exact(target: Target, inputs: tuple[int, ...]) -> None:
    """Differences of -127 and 127, sums of 254, and filters whose transform is -127 and 127."""
    weights = [
        (sign * a, sign * b, sign * c)
        for sign in (1, -1)
        for a, b, c in ((127, 0, 127), (127, 127, 0), (127, -127, 0), (0, 127, 127), (64, 126, 64))
    ]
    filters = np.array(weights)[:, None, :, None]
    weight = np.broadcast_to(filters, (len(weights), 64, 3, 1))
    workload = QuantizedConv2d(2, 1, 64, 3, 1, len(weights), 16, 127, True, True)
    workload = packed(workload, target)
    tile = next(iter(legal_byte_winograd_tiles(workload, target.isa)))
    data = np.broadcast_to(np.array(inputs)[:, None, None], (4, 1, 64))
    exact = sums(data, weight)
    bias, ones = 60 - exact[0, 0], np.full(len(weights), 0.01, "float32")
    got = run(workload, tile, target, data, weight, bias, ones)
    np.testing.assert_array_equal(got, requantized(exact + bias, ones, 127))


@pytest.mark.parametrize("target", TARGETS)
def test_what_has_no_tile(target: Target) -> None:
    layer = packed(LAYERS[2], target)
    vnni = target.isa.float_lanes == 16 and not target.isa.saturates
    assert any(legal_byte_winograd_tiles(layer, target.isa)) == vnni, "others have no vpdpbusd"
    for reason, workload in (
        ("17 rows are no pairs", replace(layer, height=17)),
        ("five taps", replace(layer, kernel_height=5)),
        ("rows are skipped", replace(layer, row_stride=2)),
        ("filters may be odd", replace(layer, exact_winograd=False)),
        ("results may not fit int16", replace(layer, int16_results=False)),
    ):
        assert not any(legal_byte_winograd_tiles(workload, target.isa)), reason


MEASURED_TILES = [
    # height, width, channels and kernel, out_channels: µs direct, µs of the best Winograd tile
    ((20, 90, 32, 3, 1), 32, 10.98, 8.28),
    ((20, 90, 32, 1, 3), 32, 10.99, 8.27),
    ((18, 44, 64, 3, 1), 64, 18.57, 13.39),
    ((18, 44, 64, 1, 3), 64, 18.67, 13.38),
    ((10, 90, 32, 1, 3), 32, 5.51, 4.17),
    ((18, 44, 48, 3, 1), 48, 10.55, 8.68),
    ((18, 44, 16, 1, 3), 32, 2.60, 2.33),
    ((2, 4, 256, 3, 1), 256, 3.0, 5.0),
]
"""Minima on one core of a Zen 5, taking turns (30 November 2026)."""


@pytest.mark.parametrize("target", VNNI)
@pytest.mark.parametrize(("shape", "out_channels", "direct", "byte"), MEASURED_TILES)
def test_the_rule_agrees_with_the_clock(
    target: Target,
    shape: tuple[int, int, int, int, int],
    out_channels: int,
    direct: float,
    byte: float,
) -> None:
    """It chooses what was faster, and nothing where both take as long."""
    workload = packed(QuantizedConv2d(*shape, out_channels, 16, 127, True, True), target)
    direct_tile = conv2d_tile(workload, target.isa)
    assert (choose_byte_winograd(workload, direct_tile, target.isa) is not None) == (byte < direct)
    small = packed(QuantizedConv2d(18, 44, 16, 3, 1, 16, 16, 127, True, True), target)
    assert choose_byte_winograd(small, conv2d_tile(small, target.isa), target.isa) is None
