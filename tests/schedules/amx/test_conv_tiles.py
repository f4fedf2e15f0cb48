"""The choice of tiles, and its cost model against layers that were measured."""

import pytest

from lprnet.reports.prediction.amx import microseconds
from lprnet.reports.prediction.amx_layers import INT8, Layer
from schedules.amx.conv_tiles import choose_tiles
from schedules.workloads.tile_conv import COLUMNS, TileConv2d


@pytest.mark.parametrize("layer", INT8, ids=str)
def test_the_model_predicts_what_was_measured(layer: Layer) -> None:
    predicted = microseconds(TileConv2d(*layer, COLUMNS, 255))
    assert predicted == pytest.approx(INT8[layer], rel=0.2)


@pytest.mark.parametrize(
    ("layer", "tiles"),
    [
        ((20, 90, 32, 1, 1, 32), ["16 pixels x 2 tiles, 32 bytes"]),
        (
            (20, 90, 32, 1, 1, 77),
            ["15 pixels x 4 tiles, 32 bytes", "16 pixels x 1 tiles, 32 bytes"],
        ),
        ((20, 90, 32, 1, 3, 32), ["16 pixels x 2 tiles, 3 x 32 bytes"]),
        ((18, 44, 16, 1, 3, 32), ["16 pixels x 2 tiles, 48 bytes"]),
        (
            (4, 18, 64, 13, 1, 65),
            ["9 pixels x 4 tiles, 64 bytes", "12 pixels x 1 tiles, 64 bytes"],
        ),
    ],
    ids=["in pairs", "a pair of pairs and one", "rows in lines", "taps together", "narrow"],
)
def test_the_tiles_that_are_chosen(layer: Layer, tiles: list[str]) -> None:
    """Whole tiles of a row of 90 or 44 pixels; pieces whose rows cross no line; and several taps in
    one piece where that is cheaper.
    """
    assert [str(one) for one in choose_tiles(TileConv2d(*layer, COLUMNS, 255))] == tiles


def test_every_pixel_and_every_channel_is_in_a_tile() -> None:
    for width in range(4, 70):
        for out_channels in (1, 17, 33, 50, 64, 100, 129):
            workload = TileConv2d(3, width, 24, 1, 3, out_channels, COLUMNS, 255)
            groups = choose_tiles(workload)
            first = 0
            for group in groups:
                assert group.first == first
                assert group.pixels <= width <= group.pixels * group.columns
                assert group.piece * group.pieces == 3 * 24
                assert group.piece <= 64
                assert group.pixels <= 16
                first += group.tiles
            assert first == workload.blocks
