"""Describes the decisions of a trace of `sketches.py`."""

from dataclasses import dataclass
from typing import Any

from tvm.s_tir.schedule import Trace

from lprnet.tuning.space.algorithms import Tunable, Winograd
from schedules.dot4_intrinsics import GROUP
from schedules.register_tiles import Tile
from schedules.winograd.f32_tiles import WinogradTile
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, QuantizedConv2d


@dataclass(frozen=True)
class ConvDecisions:
    """The decisions of a convolution's trace."""

    tile: Tile
    bands: tuple[int, int]
    """Register tiles (down, across) that all channel blocks are computed for before moving on."""
    whole: tuple[int, int]
    """Register tiles (down, across) in the whole output."""
    unrolled: int
    """Input channels in the unrolled body of the reduction."""
    window_outside: bool

    def __str__(self) -> str:
        return f"{self.tile}, {self.unrolled} channels unrolled"

    def differences(self, manual: str, blocks: int) -> list[str]:
        """How this differs from the hand-written schedule, one phrase a difference.

        `manual` is the tile that the hand-written schedule keeps in registers, and `blocks` the
        number of blocks of packed weights.
        """
        found = []
        if str(self.tile) != manual:
            found.append(
                f"keeps {self.tile} in registers ({self.tile.pixels * self.tile.vectors} "
                f"accumulators) instead of {manual}"
            )
        if self.unrolled > 1:
            found.append(f"unrolls {self.unrolled} input channels in the innermost body")
        if not self.window_outside:
            found.append("goes through the window inside each group of input channels")
        if blocks > 1 and self.bands != self.whole:
            down, across = self.bands
            found.append(
                f"finishes all {blocks} blocks of channels for {down}x{across} tiles at a time"
            )
        return found


def decisions_of(trace: Trace, workload: Tunable) -> str | ConvDecisions:
    """The decisions of `trace` for `workload`; text for all but direct convolutions."""
    tiles = [
        [int(part) for part in trace.decisions[instruction]]
        for instruction in trace.insts
        if instruction.kind.name == "SamplePerfectTile"
    ]
    match workload:
        case Conv2d() | QuantizedConv2d():
            (row_outer, row_inner), (column_outer, column_inner, columns), (_, channels) = tiles
            (_, _, vectors, _), (_, _, rows), *_ = _inputs(trace, "Split")
            group = GROUP if isinstance(workload, QuantizedConv2d) else 1
            return ConvDecisions(
                Tile(int(rows), columns, int(vectors)),
                (row_inner, column_inner),
                (row_outer * row_inner, column_outer * column_inner),
                channels * group,
                _window_outside(trace),
            )
        case Winograd():
            _, (_, _, outputs), (_, _, rows), (_, _, columns), _, (_, _, vectors, _), *_ = _inputs(
                trace, "Split"
            )
            return str(WinogradTile(int(outputs), Tile(int(rows), int(columns), int(vectors))))
        case MaxPool():
            (_, columns), (_, vectors) = tiles
            return f"1x{columns} pixels x 1 vector, {vectors} vectors a row tile"
        case AveragePool() | DequantizedAveragePool():
            (_, vectors), (_, rows) = tiles
            return f"1x1 pixels x {vectors} vectors, {rows} rows of the window unrolled"


def _inputs(trace: Trace, kind: str) -> list[list[Any]]:
    return [list(inst.inputs) for inst in trace.insts if inst.kind.name == kind]


def _window_outside(trace: Trace) -> bool:
    """Whether the reduction is decomposed at the window, not at a split of the channels."""
    ((_, outermost),) = _inputs(trace, "DecomposeReduction")
    produced = [inst for inst in trace.insts if any(o.same_as(outermost) for o in inst.outputs)]
    return all(inst.kind.name != "Split" for inst in produced)
