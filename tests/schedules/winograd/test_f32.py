"""Winograd kernels against NumPy in float64, on each instruction set."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from tvm import s_tir

from lprnet.compiler.targets import Target
from schedules.apply import conv2d_tile, schedule
from schedules.winograd.cook_toom import MAX_OUTPUTS
from schedules.winograd.f32 import schedule_winograd, winograd_conv2d
from schedules.winograd.f32_tiles import WinogradTile, choose_winograd, legal_winograd_tiles
from schedules.workloads.float import Conv2d
from tests.schedules.kernel_runner import TARGETS, call, packed_for

ERROR = 4e-6
"""Of the largest output."""

few = settings(max_examples=6, derandomize=True)

LAYERS = [
    Conv2d(20, 90, 32, 3, 1, 32, 8),
    Conv2d(20, 90, 32, 1, 3, 32, 8),
    Conv2d(18, 44, 64, 3, 1, 64, 8),
    Conv2d(18, 44, 64, 1, 3, 63, 8),
    Conv2d(18, 44, 59, 3, 1, 63, 8),
    Conv2d(18, 44, 63, 1, 3, 63, 8),
]
"""The public checkpoint's, dead channels left out."""


def largest_error(workload: Conv2d, tile: WinogradTile, target: Target) -> float:
    """Of random data, relative to the largest output; padding channels must come out zero."""
    height, width, channels = workload.height, workload.width, workload.channels
    kernel = (workload.kernel_height, workload.kernel_width)
    generator = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype("float32")

    data = random(height + kernel[0] - 1, width + kernel[1] - 1, channels)
    padded = workload.blocks * workload.block
    weight, bias = np.zeros((padded, channels, *kernel), "f4"), np.zeros(padded, "f4")
    weight[: workload.out_channels] = random(workload.out_channels, channels, *kernel)
    bias[: workload.out_channels] = random(workload.out_channels)
    packed = weight.reshape(workload.blocks, workload.block, channels, *kernel)

    sch = s_tir.Schedule(winograd_conv2d(workload, tile.outputs, target.isa))
    schedule_winograd(sch, workload, tile, target.isa)
    arguments = (data, np.ascontiguousarray(packed.transpose(0, 3, 4, 2, 1)), bias)
    got = call(sch.mod["main"], target, *arguments)

    x = sliding_window_view(data.astype("f8"), kernel, (0, 1))
    exact = np.einsum("hwcij,ocij->hwo", x, weight.astype("f8")) + bias
    if workload.relu:
        exact = exact.clip(0)
    assert not got[..., workload.out_channels :].any()
    return float(abs(got - exact).max() / abs(exact).max())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("workload", LAYERS, ids=lambda workload: workload.name)
def test_the_error_of_lprnets_kernels_is_as_stated(workload: Conv2d, target: Target) -> None:
    """All of them are Winograd's, on every instruction set."""
    packed = packed_for(workload, target.isa)
    assert isinstance(packed, Conv2d)
    tile = choose_winograd(packed, conv2d_tile(packed, target.isa), target.isa)
    assert tile is not None
    assert schedule(packed, target.isa)[1] == str(tile)
    assert largest_error(packed, tile, target) <= ERROR


@pytest.mark.parametrize("target", TARGETS)
@few
@given(data=st.data())
def test_any_outputs_channels_and_tile(target: Target, data: st.DataObject) -> None:
    isa = target.isa
    outputs = data.draw(st.integers(2, MAX_OUTPUTS), "outputs")
    runs, across = data.draw(st.integers(1, 3), "runs"), data.draw(st.integers(1, 4), "across")
    channels = data.draw(st.integers(isa.float_lanes, 40), "channels")
    out_channels = data.draw(st.integers(1, 40), "out_channels")
    relu, vertical = data.draw(st.booleans(), "relu"), data.draw(st.booleans(), "vertical")
    extents = (runs * outputs, across, channels, 3, 1)
    if not vertical:
        extents = (across, runs * outputs, channels, 1, 3)
    workload = packed_for(Conv2d(*extents, out_channels, 8, relu), isa)
    assert isinstance(workload, Conv2d)
    direct = conv2d_tile(workload, isa)
    tiles = legal_winograd_tiles(workload, direct, outputs, isa)
    tile = data.draw(st.sampled_from(tiles), "tile")
    assert largest_error(workload, tile, target) <= ERROR


@pytest.mark.parametrize("target", TARGETS)
def test_a_tile_must_fit_what_the_weights_are_packed_for(target: Target) -> None:
    workload = packed_for(LAYERS[2], target.isa)
    assert isinstance(workload, Conv2d)
    direct = conv2d_tile(workload, target.isa)
    for outputs in (2, 3, 6):
        for tile in legal_winograd_tiles(workload, direct, outputs, target.isa):
            assert direct.vectors % tile.runs.vectors == 0
            assert tile.outputs == outputs
    assert legal_winograd_tiles(workload, direct, 4, target.isa) == [], "18 rows are no runs of 4"
    few_channels = replace(workload, channels=target.isa.float_lanes - 1)
    assert choose_winograd(few_channels, direct, target.isa) is None
