"""The tile rule: what it allows, and that it picks the best of that."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.isa import AVX2, AVX512, AVX512_VNNI, Isa
from schedules.register_tiles import (
    Step,
    Tile,
    choose_tile,
    cycles,
    float_step,
    integer_step,
    legal_tiles,
)

StepOf = Callable[[Isa], Step]

ISAS = [AVX2, AVX512, AVX512_VNNI]
extents = st.integers(1, 96)
isas = st.sampled_from(ISAS)
steps = st.sampled_from([float_step, integer_step])


def every_tile(height: int, width: int, vectors: int) -> list[Tile]:
    """All tiles that divide the output, found by trial."""
    return [
        Tile(rows, columns, block)
        for rows in range(1, height + 1)
        for columns in range(1, width + 1)
        for block in range(1, vectors + 1)
        if height % rows == 0 and width % columns == 0 and vectors % block == 0
    ]


def registers(tile: Tile, step: Step) -> int:
    """Accumulators, one vector of weights each, one broadcast, and the instruction's own."""
    weights = tile.vectors
    return tile.rows * tile.columns * weights + weights + 1 + step.extra_registers


def stays_in_registers(tile: Tile, reduction: int, step: Step, isa: Isa) -> bool:
    """Of an unrolled reduction: two vectors of channels, or more with three registers beside for
    weights from the stack, or one with all of its weights beside.
    """
    if tile.vectors != 1:
        return tile.vectors == 2 or registers(tile, step) + 3 <= isa.registers
    return registers(tile, step) - 1 + reduction <= isa.registers and tile.rows <= 4


@settings(max_examples=60)
@given(
    height=extents,
    width=extents,
    reduction=st.integers(1, 20) | st.integers(1, 3000),
    out_channels=st.integers(1, 300),
    isa=isas,
    family=steps,
)
def test_the_chosen_tile_fits_divides_and_is_the_cheapest(
    height: int, width: int, reduction: int, out_channels: int, isa: Isa, family: StepOf
) -> None:
    step = family(isa)
    vectors = -(-out_channels // isa.float_lanes)
    chosen = choose_tile(height, width, reduction, out_channels, step, isa)
    fitting = [
        tile
        for tile in every_tile(height, width, vectors)
        if registers(tile, step) <= isa.registers
        and (reduction > step.unrolled_steps or stays_in_registers(tile, reduction, step, isa))
    ]
    assert chosen in fitting
    assert set(legal_tiles(height, width, reduction, vectors, step, isa)) == set(fitting)
    shape = (height, width, reduction, vectors, step, isa)
    assert cycles(chosen, *shape) == min(cycles(tile, *shape) for tile in fitting)


def test_the_prediction_is_what_the_ports_need() -> None:
    """6 pixels x 2 AVX2 vectors over 100 steps: 12 FMAs at two a cycle are 6 cycles a step, more
    than 8 loads at two a cycle or one latency; then 12 vectors out, and the overhead of a tile.
    """
    tile = Tile(1, 6, 2)
    assert cycles(tile, 1, 6, 100, 2, float_step(AVX2), AVX2) == 100 * 6 + 12 + 12
    assert cycles(tile, 2, 12, 100, 4, float_step(AVX2), AVX2) == 8 * (100 * 6 + 12 + 12)


def test_a_short_reduction_of_many_vectors_keeps_room_for_weights_from_the_stack() -> None:
    """32 to 77 channels, 1x1: five vectors of two by two pixels, not one of fifteen."""
    step = integer_step(AVX512_VNNI)
    tile = choose_tile(20, 90, 8, 77, step, AVX512_VNNI)
    assert tile.vectors == 5
    assert tile.pixels * tile.vectors == 20


def test_a_lone_accumulator_waits_for_its_latency() -> None:
    tile = Tile(1, 1, 1)
    latency = float_step(AVX2).latency
    assert cycles(tile, 1, 1, 10, 1, float_step(AVX2), AVX2) == 10 * latency + 1 + 12


def test_weights_beyond_l1_cost_more() -> None:
    """Six vectors of weights for one pixel: loads bound the tile, and L2 gives half a vector a
    cycle.
    """
    shape, step = (1, 1), float_step(AVX512)
    in_l1, in_l2 = (cycles(Tile(*shape, 6), *shape, n, 6, step, AVX512) - 18 for n in (60, 600))
    assert in_l1 == 60 * step.latency
    assert in_l2 == 600 * (0.5 + 6 * 2.0)


@pytest.mark.parametrize("isa", ISAS, ids=lambda isa: isa.name)
@pytest.mark.parametrize("family", [float_step, integer_step])
def test_the_wide_layers_get_tiles_that_hide_latency_and_loads(isa: Isa, family: StepOf) -> None:
    step = family(isa)
    tile = choose_tile(18, 44, 3 * 64, 64, step, isa)
    assert tile.pixels * tile.vectors * step.cycles >= step.latency
    loads = (tile.pixels + tile.vectors) * 0.5
    assert loads <= tile.pixels * tile.vectors * step.cycles
