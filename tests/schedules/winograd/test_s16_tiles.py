"""The rule that chooses integer Winograd or direct, against its own costs and against time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.apply import conv2d_tile
from schedules.isa import AVX2, AVX512, AVX512_VNNI, Isa
from schedules.winograd.s16_tiles import (
    OUTPUTS,
    IntegerWinogradTile,
    choose_integer_winograd,
    direct_cycles,
    integer_winograd_cycles,
    legal_integer_winograd_tiles,
)
from schedules.workloads.integer import QuantizedConv2d
from tests.schedules.kernel_runner import packed_for

MEASURED_TILES = [
    # height, width, channels, kernel, out_channels: µs direct, µs of the best Winograd tile
    (AVX2, (18, 44, 64, 3, 1, 64), 104.5, 76.6),
    (AVX2, (18, 44, 64, 1, 3, 64), 104.7, 80.1),
    (AVX2, (18, 44, 52, 1, 3, 60), 86.5, 68.1),
    (AVX2, (20, 90, 32, 3, 1, 32), 64.0, 52.5),
    (AVX2, (20, 90, 32, 1, 3, 32), 64.1, 53.6),
    (AVX2, (18, 44, 16, 3, 1, 16), 8.2, 9.4),
    (AVX512, (18, 44, 64, 3, 1, 64), 85.9, 56.9),
    (AVX512, (18, 44, 64, 1, 3, 64), 85.9, 60.0),
    (AVX512, (18, 44, 52, 1, 3, 60), 72.8, 52.8),
    (AVX512, (20, 90, 32, 3, 1, 32), 58.5, 42.1),
    (AVX512, (20, 90, 32, 1, 3, 32), 51.3, 41.2),
    (AVX512, (18, 44, 16, 3, 1, 16), 6.6, 8.3),
]
"""Minima on one core of an Ice Lake Xeon at 2.8 GHz, taking turns (23 November 2026)."""


def packed(shape: tuple[int, ...], isa: Isa) -> QuantizedConv2d:
    height, width, channels, kernel_height, kernel_width, out_channels = shape
    window = (height, width, channels, kernel_height, kernel_width)
    workload = packed_for(QuantizedConv2d(*window, out_channels, isa.float_lanes, 127), isa)
    assert isinstance(workload, QuantizedConv2d)
    return workload


@pytest.mark.parametrize(("isa", "shape", "direct", "winograd"), MEASURED_TILES)
def test_the_rule_agrees_with_the_clock(
    isa: Isa, shape: tuple[int, ...], direct: float, winograd: float
) -> None:
    """It chooses what was faster, and foresees a gain within a fifth."""
    workload = packed(shape, isa)
    tile = choose_integer_winograd(workload, conv2d_tile(workload, isa), isa)
    assert (tile is not None) == (winograd < direct)
    if tile is not None:
        counted = direct_cycles(workload, conv2d_tile(workload, isa), isa)
        foreseen = counted / integer_winograd_cycles(workload, tile, isa)
        assert foreseen == pytest.approx(direct / winograd, rel=0.2)


@settings(max_examples=40)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 94),
    groups=st.integers(1, 20),
    out_channels=st.integers(1, 80),
    kernel=st.sampled_from([(3, 1), (1, 3), (1, 1), (3, 3), (1, 4)]),
    isa=st.sampled_from([AVX2, AVX512, AVX512_VNNI]),
)
def test_the_cheapest_wins(
    height: int, width: int, groups: int, out_channels: int, kernel: tuple[int, int], isa: Isa
) -> None:
    workload = packed((height, width, 4 * groups, *kernel, out_channels), isa)
    direct = conv2d_tile(workload, isa)
    tiles = [
        tile for outputs in OUTPUTS for tile in legal_integer_winograd_tiles(workload, outputs, isa)
    ]
    chosen = choose_integer_winograd(workload, direct, isa)
    costs = {tile: integer_winograd_cycles(workload, tile, isa) for tile in tiles}
    least = min(costs.values(), default=float("inf"))
    if chosen is None:
        assert not tiles or least >= direct_cycles(workload, direct, isa)
    else:
        assert sorted(kernel) == [1, 3]
        assert isa is not AVX512_VNNI
        assert costs[chosen] == least < direct_cycles(workload, direct, isa)


def test_the_prediction_is_what_the_ports_need() -> None:
    """F(2, 3) of 4 rows, 2 columns, 16 channels to 16, 2 runs by 1 vector of AVX-512: 4 products of
    2 tiles, each 8 pairs of channels for 2 accumulators on 2 ports, and 3 loads. The transforms
    move 8 vectors of weights, 4 runs of one vector in and one out, 4 products each.
    """
    workload = packed((4, 2, 16, 3, 1, 16), AVX512)
    tile = IntegerWinogradTile(2, 2, 1)
    assert tile in legal_integer_winograd_tiles(workload, 2, AVX512)
    assert str(tile) == "F(2,3) on 2 runs x 1 vectors"
    tiles = 2 * (8 * (0.85 * 2 * 2 / 2 + 0.1 * 3) + 12)
    transforms = (8 + 4) * 0.35 + 4 * 0.75
    cycles = integer_winograd_cycles(workload, tile, AVX512)
    assert cycles == pytest.approx(4 * (tiles + 4 * transforms))


@pytest.mark.parametrize("isa", [AVX2, AVX512])
def test_every_tile_fits_the_registers(isa: Isa) -> None:
    """Accumulators, weights, one broadcast and one product; the largest leave no room for more."""
    workload = packed((18, 44, 64, 3, 1, 64), isa)
    used = [
        tile.runs * tile.vectors + tile.vectors + 2
        for outputs in OUTPUTS
        for tile in legal_integer_winograd_tiles(workload, outputs, isa)
    ]
    assert max(used) == isa.registers
