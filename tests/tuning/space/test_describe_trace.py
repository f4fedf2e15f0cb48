"""The description of a trace agrees with the scheduled loops."""

import pytest
from tvm import s_tir

from lprnet.tuning.space.algorithms import Winograd
from lprnet.tuning.space.describe_trace import ConvDecisions, decisions_of
from lprnet.tuning.space.sketches import sketches
from lprnet.tuning.space.tasks import single
from schedules.dot4_intrinsics import GROUP
from schedules.isa import AVX2
from schedules.register_tiles import Tile
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, QuantizedConv2d


def extents(sch: s_tir.Schedule, block: str) -> list[int]:
    return [int(sch.get(loop).extent) for loop in sch.get_loops(sch.get_sblock(block))]


@pytest.mark.parametrize(
    "workload", [Conv2d(6, 12, 8, 3, 2, 32, 32), QuantizedConv2d(6, 12, 8, 3, 2, 32, 32, 127)]
)
def test_convolutions(workload: Conv2d | QuantizedConv2d) -> None:
    found = sketches(s_tir.Schedule(single(workload)), workload, AVX2)
    chosen = [decisions_of(sch.trace, workload) for sch in found]
    for sch, choice in zip(found, chosen, strict=True):
        assert isinstance(choice, ConvDecisions)
        row_outer, column_outer, _, row, column, *tile, _ = extents(sch, "out")
        assert choice.tile == Tile(*tile)
        assert choice.bands == (row, column)
        assert choice.whole == (row_outer * row, column_outer * column)
        if isinstance(workload, QuantizedConv2d):
            assert choice.unrolled % GROUP == 0
            continue
        *window, unrolled = extents(sch, "acc_update")[6:10]
        assert choice.unrolled == unrolled
        outer = workload.channels // unrolled
        assert window == ([3, 2, outer] if choice.window_outside else [outer, 3, 2])
    assert {choice.window_outside for choice in chosen} == {True, False}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("workload", "phrase"),
    [
        (MaxPool(4, 6, 2, 16), "pixels x 1 vector"),
        (AveragePool(2, 6, 16, (4, 2), (4, 2)), "rows of the window unrolled"),
        (DequantizedAveragePool(2, 6, 16, (4, 2), (4, 2), 0.1), "rows of the window unrolled"),
    ],
)
def test_pools(workload: MaxPool | AveragePool | DequantizedAveragePool, phrase: str) -> None:
    for sch in sketches(s_tir.Schedule(single(workload)), workload, AVX2):
        assert phrase in str(decisions_of(sch.trace, workload))


def test_differences_are_phrases_and_nothing_where_nothing_differs() -> None:
    manual = "1x6 pixels x 2 vectors"
    same = ConvDecisions(Tile(1, 6, 2), (4, 2), (4, 2), 1, window_outside=True)
    assert same.differences(manual, blocks=3) == []
    other = ConvDecisions(Tile(2, 3, 2), (1, 2), (2, 4), 4, window_outside=False)
    assert other.differences(manual, blocks=3) == [
        "keeps 2x3 pixels x 2 vectors in registers (12 accumulators) instead of "
        "1x6 pixels x 2 vectors",
        "unrolls 4 input channels in the innermost body",
        "goes through the window inside each group of input channels",
        "finishes all 3 blocks of channels for 1x2 tiles at a time",
    ]
    assert len(other.differences(manual, blocks=1)) == 3


def test_winograd_is_described_by_its_tile() -> None:
    algorithm = Winograd(Conv2d(6, 12, 16, 3, 1, 16, 16), 3, AVX2)
    found = sketches(s_tir.Schedule(single(algorithm)), algorithm, AVX2)
    assert [str(decisions_of(sch.trace, algorithm)) for sch in found] == [
        str(tile) for tile in algorithm.tiles
    ]
