"""Lowers pools to one kernel call each, with the dequantization that they read."""

import tvm_ffi
from tvm import relax

from relay_passes.dataflow import itemsize, pair, shape
from relay_passes.lowering.kernel_builder import KernelBuilder
from relay_passes.lowering.layout import PackedTensor
from schedules.isa import Isa
from schedules.pools import CACHE_LINE
from schedules.workloads.float import MAX_REPEAT, AveragePool, MaxPool
from schedules.workloads.integer import DequantizedAveragePool
from schedules.workloads.pool_windows import Pair, read_extents
from schedules.workloads.workload import Workload


@tvm_ffi.register_error  # otherwise a pass turns it into another exception
class PoolError(ValueError):
    """A network whose max pool no kernel covers."""


def lower_max_pool(
    builder: KernelBuilder,
    source: PackedTensor,
    var: relax.Var,
    value: relax.Call,
    row_repeat: int = 1,
) -> PackedTensor:
    """Emit the kernel of the max pool `value` of `source`, each of whose rows counts `row_repeat`
    times, defined by `var`; returns its output.

    Raises `PoolError` for a window other than 3x3, and `ValueError` for another pool that no kernel
    covers.
    """
    attrs = value.attrs
    if any(attrs.padding) or len(source.segments) != 1:
        raise ValueError(f"no kernel covers {value}")
    (rows, columns), (row_stride, column_stride) = pair(attrs.pool_size), pair(attrs.strides)
    if (rows, columns) != (3, 3):
        raise PoolError(
            f"its max pool of {rows}x{columns} windows cannot be compiled; those of LPRNets are "
            "3x3."
        )
    _, _, height, width = shape(var)
    if height == 1:
        row_stride = 1  # any is the same, and a kernel's shapes tell none
    if row_repeat > 1 and (row_repeat, row_stride) != (MAX_REPEAT, 1):
        raise PoolError(
            f"its max pool reads each row {row_repeat} times, by a row stride of {row_stride}, and "
            f"cannot be compiled; rows may be read {MAX_REPEAT} times, by a row stride of 1."
        )
    if width == 1:
        column_stride = 1
    channels, dtype = _max_pool_channels(source, builder.isa), str(source.tensor.ty.dtype)
    workload = MaxPool(height, width, column_stride, channels, dtype, row_stride, row_repeat)
    view = builder.view(source, *workload.read_shape)
    return PackedTensor(
        builder.call(workload, [view]), height, width, ((source.logical, channels),)
    )


def lower_average_pool(
    builder: KernelBuilder,
    source: PackedTensor,
    scale: float | None,
    var: relax.Var,
    value: relax.Call,
) -> PackedTensor:
    """The same for an average pool. `source` is float32, bfloat16, or integers of `scale`."""
    attrs = value.attrs
    if any(attrs.padding) or len(source.segments) != 1:
        raise ValueError(f"no kernel covers {value}")
    (height, width), kernel, stride = output_windows(var, value)
    out_shape = (height, width, pad_to_vectors(source.logical, builder.isa))
    dtype = str(source.tensor.ty.dtype)
    workload: Workload = AveragePool(*out_shape, kernel, stride, dtype)
    if scale is not None:
        workload = DequantizedAveragePool(*out_shape, kernel, stride, scale)
    rows, columns = read_extents((height, width), kernel, stride)
    view = builder.view(source, rows, columns, workload.channels)
    segments = ((source.logical, workload.channels),)
    return PackedTensor(builder.call(workload, [view]), height, width, segments)


def output_windows(var: relax.Var, value: relax.Call) -> tuple[Pair, Pair, Pair]:
    """Height and width of the average pool `value`, which `var` is defined by, its kernel and its
    stride. Of one window any stride is the same, and `average_windows` takes it for its length.
    """
    _, _, height, width = shape(var)
    kernel, (row_stride, column_stride) = pair(value.attrs.pool_size), pair(value.attrs.strides)
    stride = kernel[0] if height == 1 else row_stride, kernel[1] if width == 1 else column_stride
    return (height, width), kernel, stride


def dequantize(builder: KernelBuilder, source: PackedTensor, scale: float) -> PackedTensor:
    """Integers of `scale` in float32, by an average pool with a 1x1 window."""
    channels, one = pad_to_vectors(source.logical, builder.isa), (1, 1)
    extents = (source.height, source.width, channels)
    workload = DequantizedAveragePool(*extents, one, one, scale)
    tensor = builder.call(workload, [builder.view(source, *extents)])
    return PackedTensor(tensor, source.height, source.width, ((source.logical, channels),))


def _max_pool_channels(source: PackedTensor, isa: Isa) -> int:
    """Whole vectors; for tile registers whole cache lines if the source has them, because a tile is
    loaded five times slower if its rows cross lines.
    """
    channels, line = pad_to_vectors(source.logical, isa), CACHE_LINE // itemsize(source.tensor)
    lines = -(-channels // line) * line
    fills = isa.tiles and channels > line // 2 and lines <= source.physical
    return lines if fills else channels


def pad_to_vectors(channels: int, isa: Isa) -> int:
    """`channels` rounded up to whole vectors."""
    return -(-channels // isa.float_lanes) * isa.float_lanes
