"""The rule that chooses between Winograd and direct, against its own costs and against time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.apply import conv2d_tile
from schedules.isa import AVX2, AVX512, AVX512_VNNI, Isa
from schedules.register_tiles import cycles, float_step
from schedules.winograd import f32_tiles as winograd_tiles
from schedules.winograd.cook_toom import MAX_OUTPUTS
from schedules.winograd.f32_tiles import (
    choose_winograd,
    legal_winograd_tiles,
    winograd_cycles,
)
from schedules.workloads.float import Conv2d
from tests.schedules.kernel_runner import packed_for

MEASURED_TILES = [
    # height, width, channels, kernel, out_channels: µs direct, µs of the best Winograd tile
    (AVX512, (18, 44, 64, 3, 1, 64), 111.4, 64.9),
    (AVX512, (18, 44, 64, 1, 3, 63), 131.7, 85.8),
    (AVX512, (18, 44, 59, 3, 1, 63), 103.3, 67.7),
    (AVX512, (18, 44, 63, 1, 3, 63), 109.3, 75.0),
    (AVX512, (20, 90, 32, 3, 1, 32), 69.2, 52.2),
    (AVX512, (20, 90, 32, 1, 3, 32), 68.8, 46.4),
    (AVX512, (18, 44, 32, 3, 1, 64), 56.3, 35.2),
    (AVX512, (18, 44, 32, 1, 3, 32), 32.6, 24.4),
    (AVX512, (18, 44, 16, 3, 1, 16), 15.6, 11.4),
    (AVX512, (20, 90, 16, 1, 3, 16), 31.3, 23.7),
    (AVX512, (18, 44, 21, 3, 1, 48), 27.6, 28.4),
    (AVX2, (18, 44, 64, 3, 1, 64), 181.9, 99.3),
    (AVX2, (18, 44, 64, 1, 3, 63), 181.9, 108.0),
    (AVX2, (18, 44, 59, 3, 1, 63), 167.8, 99.5),
    (AVX2, (20, 90, 32, 3, 1, 32), 104.7, 64.4),
    (AVX2, (20, 90, 32, 1, 3, 32), 116.7, 82.8),
]
"""Minima on one core of an Ice Lake Xeon at 2.8 GHz, taking turns (22 November 2026)."""


def packed(shape: tuple[int, ...], isa: Isa) -> Conv2d:
    height, width, channels, kernel_height, kernel_width, out_channels = shape
    window = (height, width, channels, kernel_height, kernel_width)
    workload = packed_for(Conv2d(*window, out_channels, isa.float_lanes), isa)
    assert isinstance(workload, Conv2d)
    return workload


def direct_cycles(workload: Conv2d, isa: Isa) -> float:
    vectors = workload.blocks * workload.block // isa.float_lanes
    shape = (workload.height, workload.width, workload.window, vectors)
    return cycles(conv2d_tile(workload, isa), *shape, float_step(isa), isa)


def test_a_measured_tile_goes_before_the_counted_one() -> None:
    """And is one that the kernel can have."""
    shapes = {
        "conv3x1_20x90_32to32": (20, 90, 32, 3, 1, 32),
        "conv3x1_18x44_32to16": (18, 44, 32, 3, 1, 16),
    }
    assert {name for name, _ in winograd_tiles.MEASURED_TILES} == set(shapes)
    for (name, lanes), tile in winograd_tiles.MEASURED_TILES.items():
        assert lanes == AVX512.float_lanes
        workload = packed(shapes[name], AVX512)
        direct = conv2d_tile(workload, AVX512)
        legal = legal_winograd_tiles(workload, direct, tile.outputs, AVX512)
        assert tile in legal
        assert choose_winograd(workload, direct, AVX512) == tile
        assert min(legal, key=lambda one: winograd_cycles(workload, one, AVX512)) != tile


@pytest.mark.parametrize(("isa", "shape", "direct", "winograd"), MEASURED_TILES)
def test_the_rule_agrees_with_the_clock(
    isa: Isa, shape: tuple[int, ...], direct: float, winograd: float
) -> None:
    """It chooses what was faster, and foresees a gain within a quarter."""
    workload = packed(shape, isa)
    tile = choose_winograd(workload, conv2d_tile(workload, isa), isa)
    assert (tile is not None) == (winograd < direct)
    if tile is None:
        return
    foreseen = direct_cycles(workload, isa) / winograd_cycles(workload, tile, isa)
    assert foreseen == pytest.approx(direct / winograd, rel=0.25)


@settings(max_examples=40)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 94),
    channels=st.integers(1, 80),
    out_channels=st.integers(1, 80),
    kernel=st.sampled_from([(3, 1), (1, 3), (1, 1), (3, 3), (1, 4)]),
    isa=st.sampled_from([AVX2, AVX512, AVX512_VNNI]),
)
def test_the_cheapest_wins(
    height: int, width: int, channels: int, out_channels: int, kernel: tuple[int, int], isa: Isa
) -> None:
    workload = packed((height, width, channels, *kernel, out_channels), isa)
    direct = conv2d_tile(workload, isa)
    tiles = [
        tile
        for outputs in range(2, MAX_OUTPUTS + 1)
        for tile in legal_winograd_tiles(workload, direct, outputs, isa)
    ]
    chosen = choose_winograd(workload, direct, isa)
    costs = {tile: winograd_cycles(workload, tile, isa) for tile in tiles}
    least = min(costs.values(), default=float("inf"))
    if chosen is None:
        assert least >= direct_cycles(workload, isa)
    else:
        assert sorted(kernel) == [1, 3]
        assert costs[chosen] == least < direct_cycles(workload, isa)


def test_the_prediction_is_what_the_ports_need() -> None:
    """F(2, 3) of 4 rows, 2 columns, 16 channels to 16: 4 products of a 2x2 grid of runs, each 16
    steps of 4 FMAs that wait for their latency, 4 vectors out and a tile's overhead. The
    transforms move 4 runs of one vector in and one out, and 16 vectors of weights.
    """
    workload = packed((4, 2, 16, 3, 1, 16), AVX512)
    (tile,) = (
        tile
        for tile in legal_winograd_tiles(workload, conv2d_tile(workload, AVX512), 2, AVX512)
        if tile.runs.pixels == 4
    )
    assert str(tile) == "F(2,3) on 2x2 runs x 1 vectors"
    one = 16 * 4 + 4 + 12
    transforms = (4 * (1 + 1) + 16) * 4.0
    assert winograd_cycles(workload, tile, AVX512) == 4 * (one + transforms)


def test_other_kernels_have_no_tile() -> None:
    workload = packed((4, 18, 39, 13, 1, 48), AVX2)
    assert legal_winograd_tiles(workload, conv2d_tile(workload, AVX2), 2, AVX2) == []
