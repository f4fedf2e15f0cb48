"""Give every kernel of a module its hand-written schedule."""

from collections.abc import Iterator
from dataclasses import dataclass

import tvm
from tvm import s_tir, tirx

from schedules.amx.conv2d import tile_conv2d
from schedules.amx.conv_tiles import choose_tiles
from schedules.average_pools import average_pool, pool_tile
from schedules.direct_conv2d import schedule_conv2d, schedule_quantized_conv2d
from schedules.dot4_intrinsics import GROUP
from schedules.isa import Isa
from schedules.max_pools import max_pool, max_pool_tile
from schedules.packed_conv2d import packed_conv2d
from schedules.pools import (
    IN_PLACE,
    schedule_dequantize_weight,
    schedule_elementwise,
    schedule_group_channels,
    schedule_mean_square,
)
from schedules.register_tiles import Tile, choose_tile, float_step, integer_step
from schedules.split_conv2d import split_conv2d
from schedules.split_lanes import choose_split
from schedules.stack_rows import stack_rows
from schedules.sum_conv import positions_at_once, sum_conv
from schedules.winograd.f32 import schedule_winograd, winograd_conv2d
from schedules.winograd.f32_tiles import choose_winograd
from schedules.winograd.s8 import byte_winograd_conv2d
from schedules.winograd.s8_tiles import choose_byte_winograd
from schedules.winograd.s16 import integer_winograd_conv2d
from schedules.winograd.s16_tiles import choose_integer_winograd
from schedules.workloads.bfloat16 import Bf16Normalise, Bf16TileConv2d
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import UNROLLED, LookUp, schedule_look_up
from schedules.workloads.match import match as match_workload
from schedules.workloads.normalisation import Divide, MeanSquare, Normalise
from schedules.workloads.sparse_weights import ExpandWeight
from schedules.workloads.stack_rows import StackRows
from schedules.workloads.tile_conv import TileConv2d
from schedules.workloads.weights_only import WeightOnlyConv2d
from schedules.workloads.window_sums import SumConv, SumPool
from schedules.workloads.workload import LoopNest, Workload


class UnscheduledKernel(Exception):
    """A kernel for which there is no schedule."""


@dataclass(frozen=True)
class KernelReport:
    """How one kernel was scheduled."""

    kernel: str
    macs: int
    origin: str
    """`manual`, `auto` or `none`; a kernel with nothing to tune is `manual` in any build."""
    tile: str
    """What stays in registers, in words."""
    tuned_for: str | None = None
    """The target whose tuning log an `auto` schedule comes from."""


def kernels(module: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, Workload]]:
    """Every kernel of `module` and what it computes.

    Raises `UnscheduledKernel` for a PrimFunc that no hand-written schedule covers.
    """
    for variable, function in module.functions.items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        workload = match_workload(function)
        if workload is None:
            raise UnscheduledKernel(f"no schedule covers the kernel {variable.name_hint}")
        yield variable, workload


def apply(module: tvm.IRModule, isa: Isa) -> tuple[tvm.IRModule, list[KernelReport]]:
    """`module` with every kernel scheduled by hand, and one report a kernel.

    Raises `UnscheduledKernel` as `kernels` does.
    """
    scheduled = tvm.IRModule(dict(module.functions.items()))
    reports = []
    for variable, workload in kernels(module):
        function, tile = schedule(workload, isa)
        scheduled.update_func(variable, function)
        reports.append(KernelReport(variable.name_hint, workload.macs, "manual", tile))
    return scheduled, reports


def schedule(workload: Workload, isa: Isa) -> tuple[tirx.PrimFunc, str]:
    """`workload` scheduled by hand, on the buffers of `workload.prim_func()`, and its tile in
    words.
    """
    if isinstance(workload, TileConv2d | Bf16TileConv2d):
        groups = ", ".join(map(str, choose_tiles(workload)))
        return tile_conv2d(workload), f"AMX, {groups}"
    if isinstance(workload, Conv2d):
        winograd = choose_winograd(workload, conv2d_tile(workload, isa), isa)
        if winograd is not None:
            sch = s_tir.Schedule(winograd_conv2d(workload, winograd.outputs, isa))
            schedule_winograd(sch, workload, winograd, isa)
            return sch.mod["main"], str(winograd)
    if isinstance(workload, QuantizedConv2d):
        tile = conv2d_tile(workload, isa)
        runs = choose_integer_winograd(workload, tile, isa)
        if runs is not None:
            return integer_winograd_conv2d(workload, runs, isa), str(runs)
        pairs = choose_byte_winograd(workload, tile, isa)
        if pairs is not None:
            return byte_winograd_conv2d(workload, pairs, isa), str(pairs)
        if workload.int16_results:
            shared = choose_split(workload, isa)
            if shared is not None:
                return split_conv2d(workload, shared, isa), str(shared)
            return packed_conv2d(workload, tile, isa), str(tile)
    if isinstance(workload, AveragePool | DequantizedAveragePool | SumPool):
        strips = pool_tile(workload, isa)
        return average_pool(workload, strips), str(strips)
    if isinstance(workload, MaxPool):
        strip = max_pool_tile(workload, isa)
        function = max_pool(workload, strip)
        in_place = function.with_attr(IN_PLACE, True) if workload.row_repeat == 1 else function
        return in_place, str(strip)
    if isinstance(workload, SumConv):
        said = f"1x{positions_at_once(workload.width, isa)} pixels x 1 vector"
        return sum_conv(workload, isa), said
    if isinstance(workload, StackRows):
        return stack_rows(workload), "16 pixels"
    sch = s_tir.Schedule(workload.prim_func())
    words = _schedule_directly(sch, workload, isa)
    return sch.mod["main"], words


def _schedule_directly(sch: s_tir.Schedule, workload: LoopNest, isa: Isa) -> str:
    """Schedule the definition of `workload` in `sch`; returns its tile in words."""
    match workload:
        case Conv2d() | WeightOnlyConv2d():
            tile = conv2d_tile(workload, isa)
            schedule_conv2d(sch, tile, isa)
            return str(tile)
        case QuantizedConv2d():
            tile = conv2d_tile(workload, isa)
            schedule_quantized_conv2d(sch, tile, isa)
            return str(tile)
        case DequantizeWeight():
            schedule_dequantize_weight(sch, isa)
            return "1 vector"
        case Normalise() | Divide():
            schedule_elementwise(sch, isa)
            return "1 vector"
        case ExpandWeight():
            return "1 vector"
        case LookUp():
            schedule_look_up(sch)
            return f"{UNROLLED} values"
        case GroupChannels() | Bf16Normalise():
            schedule_group_channels(sch)
            return "1 pixel"
        case MeanSquare():
            schedule_mean_square(sch)
            return "1 vector"


def conv2d_tile(workload: Conv2d | QuantizedConv2d | WeightOnlyConv2d, isa: Isa) -> Tile:
    """The tile of a convolution; its weights must be packed for it."""
    height, width, out_channels = workload.height, workload.width, workload.out_channels
    if not isinstance(workload, QuantizedConv2d):
        return choose_tile(height, width, workload.window, out_channels, float_step(isa), isa)
    steps = workload.window // GROUP
    return choose_tile(height, width, steps, out_channels, integer_step(isa), isa)
