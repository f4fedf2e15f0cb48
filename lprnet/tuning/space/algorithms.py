"""The algorithms that the tuner searches for each workload: direct, and Winograd's if it fits."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import tvm_ffi
from tvm import tirx

from schedules.isa import Isa
from schedules.register_tiles import Tile
from schedules.winograd.cook_toom import MAX_OUTPUTS
from schedules.winograd.f32 import winograd_conv2d
from schedules.winograd.f32_tiles import WinogradTile, legal_winograd_tiles
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, QuantizedConv2d


@dataclass(frozen=True)
class Winograd:
    """`convolution` by F(`outputs`, 3) (`schedules/winograd/f32.py`), on the same buffers."""

    family: ClassVar[str] = "winograd"
    convolution: Conv2d
    outputs: int
    isa: Isa = field(repr=False)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolution, although Winograd's algorithm does fewer."""
        return self.convolution.macs

    @property
    def name(self) -> str:
        return f"winograd{self.outputs}_{self.convolution.name}"

    @property
    def tiles(self) -> list[WinogradTile]:
        """Every legal tile."""
        packed = Tile(1, 1, self.convolution.block // self.isa.float_lanes)
        return legal_winograd_tiles(self.convolution, packed, self.outputs, self.isa)

    def prim_func(self) -> tirx.PrimFunc:
        return winograd_conv2d(self.convolution, self.outputs, self.isa)


Direct = Conv2d | QuantizedConv2d | MaxPool | AveragePool | DequantizedAveragePool
Tunable = Direct | Winograd


def algorithms_of(workload: Tunable, isa: Isa) -> list[Tunable]:
    """`workload` itself, then the other algorithms that compute the same from the same buffers."""
    if not isinstance(workload, Conv2d):
        return [workload]
    others = [Winograd(workload, outputs, isa) for outputs in range(2, MAX_OUTPUTS + 1)]
    return [workload, *(other for other in others if other.tiles)]


def canonical(workload: Tunable) -> Tunable:
    """`workload` without what its schedule does not depend on: the number of zero channels in its
    last block, the value of a constant, the largest result, and what is known of results and
    filters. Networks of different weights share such kernels.
    """
    match workload:
        case Conv2d():
            return replace(workload, out_channels=workload.padded_channels)
        case QuantizedConv2d():
            return replace(
                workload,
                out_channels=workload.padded_channels,
                qmax=255,
                int16_results=False,
                exact_winograd=False,
            )
        case Winograd():
            padded = workload.convolution.blocks * workload.convolution.block
            return replace(workload, convolution=replace(workload.convolution, out_channels=padded))
        case DequantizedAveragePool():
            return replace(workload, scale=1.0)
        case _:
            return workload


def reference_of(workload: Tunable) -> Direct:
    """The direct algorithm of `workload`, the reference for all its algorithms."""
    return workload.convolution if isinstance(workload, Winograd) else workload


def match_winograd(function: tirx.PrimFunc, isa: Isa) -> Winograd | None:
    """The Winograd convolution that `function` is, or None if it is none."""
    shapes = [[int(extent) for extent in buffer.shape] for buffer in function.params]
    if [len(shape) for shape in shapes] != [3, 5, 1, 3]:
        return None
    _, (_, kernel_height, kernel_width, channels, block), _, (height, width, _) = shapes
    extents = (height, width, channels, kernel_height, kernel_width, shapes[3][2], block)
    for relu in (True, False):
        for algorithm in algorithms_of(Conv2d(*extents, relu), isa)[1:]:
            same = algorithm.prim_func().with_attr("global_symbol", "main")
            if isinstance(algorithm, Winograd) and tvm_ffi.structural_equal(same, function):
                return algorithm
    return None
