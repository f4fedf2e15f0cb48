"""Lowers a convolution with its bias and ReLU or requantization to one kernel call."""

from dataclasses import dataclass, replace

import numpy as np
from tvm import relax

from relay_passes.dataflow import array, pair
from relay_passes.lowering.check_exact_winograd import winograd_is_exact
from relay_passes.lowering.check_int16_results import fit_int16
from relay_passes.lowering.check_pair_sums import check_pair_sums
from relay_passes.lowering.kernel_builder import KernelBuilder
from relay_passes.lowering.layout import (
    Array,
    PackedTensor,
    conv_outputs,
    is_bfloat16,
    is_integer,
    pack_weight,
)
from relay_passes.lowering.stacked_rows import stack_filter
from relay_passes.lowering.tile_convolution import lower_bfloat16, lower_to_tiles
from relay_passes.lowering.window_sums import SummedContexts, lower_sum_conv
from schedules.dot4_intrinsics import GROUP
from schedules.register_tiles import choose_tile, float_step, integer_step
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import DequantizeWeight, QuantizedConv2d
from schedules.workloads.weights_only import MAX_TILES, WeightOnlyConv2d


def lower_conv2d(
    builder: KernelBuilder,
    source: PackedTensor,
    var: relax.Var,
    value: relax.Call,
    contexts: SummedContexts | None = None,
) -> tuple[relax.Var, PackedTensor]:
    """Emit the kernel of the convolution `value` of `source`, defined by `var`, with the operators
    fused into it. With `contexts`, `source` holds window sums.

    Returns the variable that the last fused operator defines, and the kernel's output. Raises
    `ValueError` for a convolution that no kernel covers.
    """
    weight, scale = _weight(builder, value.args[1])
    if source.rows > 1:
        weight = stack_filter(weight)
    out_channels = len(weight)
    attrs = value.attrs
    row_stride, column_stride = pair(attrs.strides)
    plain = all(int(n) == 1 for n in (column_stride, *attrs.dilation, attrs.groups))
    padding = [int(n) for n in attrs.padding]
    if not plain or padding[:2] != padding[2:]:
        raise ValueError(f"no kernel covers {value}")
    integer = is_integer(weight) and scale is None
    bias, last = np.zeros(out_channels, "int32" if integer else "float32"), var
    add = builder.fuse(last, "add")
    if add is not None:
        values = array(builder.graph.values[add].args[1])
        if values is None or values.size > 1 and values.shape != (1, out_channels, 1, 1):
            raise ValueError(f"no kernel covers {builder.graph.values[add]}")
        bias, last = np.broadcast_to(values.reshape(-1), out_channels), add

    tensor, rows, columns = source.tensor, source.height, source.width
    if any(padding):
        top, left = padding[:2]
        widths = [top, top, left, left, 0, 0]
        tensor = builder.block_builder.emit(relax.op.nn.pad(tensor, widths, pad_value=0))
        rows, columns = rows + 2 * top, columns + 2 * left
    padded = PackedTensor(tensor, rows, columns, source.segments)
    height, _ = conv_outputs(padded, weight, row_stride)
    row_stride = row_stride if height > 1 else 1
    padded = replace(padded, height=(height - 1) * row_stride + weight.shape[2])
    if contexts is not None and scale is not None:
        return last, lower_sum_conv(builder, contexts, padded, weight, scale, bias)
    if integer:
        largest = int(np.iinfo(str(value.args[0].ty.dtype)).max)
        return _integer_conv2d(builder, last, padded, weight, bias, largest, row_stride)
    if is_bfloat16(weight):
        relu = builder.fuse(last, "nn.relu")
        rounded = None if relu is None else builder.fuse(relu, "astype")
        if rounded is None:
            raise ValueError("a convolution in bfloat16 must end in a ReLU and its rounding")
        return rounded, lower_bfloat16(builder, padded, weight, bias, row_stride)
    return _float_conv2d(builder, last, padded, weight, scale, bias, row_stride)


def _weight(builder: KernelBuilder, expression: relax.Expr) -> tuple[Array, Array | None]:
    """OIHW weights, and the `(O,)` scales of int8 weights that are to be dequantized."""
    dequantize = builder.graph.match(expression, "dequantize")
    if dequantize is None:
        return np.asarray(array(expression)), None
    weight, scale = (np.asarray(array(argument)) for argument in dequantize.args[:2])
    return weight, np.broadcast_to(scale.reshape(-1), len(weight))


def _float_conv2d(
    builder: KernelBuilder,
    last: relax.Var,
    source: PackedTensor,
    weight: Array,
    scale: Array | None,
    bias: Array,
    row_stride: int,
) -> tuple[relax.Var, PackedTensor]:
    relu = builder.fuse(last, "nn.relu")
    out_channels, _, kernel_height, kernel_width = weight.shape
    height, width = conv_outputs(source, weight, row_stride)
    channels = source.logical if len(source.segments) == 1 else source.physical
    steps = kernel_height * kernel_width * channels
    tile = choose_tile(height, width, steps, out_channels, float_step(builder.isa), builder.isa)
    block = tile.vectors * builder.isa.float_lanes
    window = (height, width, channels, kernel_height, kernel_width)
    segments = ((out_channels, -(-out_channels // block) * block),)
    if scale is not None and relu is None and height * width <= MAX_TILES * tile.pixels:
        weight_only = WeightOnlyConv2d(*window, out_channels, block, row_stride=row_stride)
        out = _weight_only_conv2d(builder, weight_only, source, weight, scale, bias)
        return last, PackedTensor(out, height, width, segments)
    workload = Conv2d(*window, out_channels, block, relu is not None, row_stride=row_stride)
    padded_channels = workload.blocks * block
    packed = relax.const(pack_weight(source.scatter_channels(weight, channels), block))
    if scale is not None:
        blocks = workload.blocks
        scales = np.pad(scale, (0, padded_channels - out_channels)).reshape(blocks, block)
        dequantize = DequantizeWeight(blocks, kernel_height, kernel_width, channels, block)
        packed = builder.call(dequantize, [packed, relax.const(scales)])
    arguments = [
        builder.view(source, source.height, source.width, channels),
        packed,
        relax.const(np.pad(bias, (0, padded_channels - out_channels))),
    ]
    out = builder.call(workload, arguments)
    return (last if relu is None else relu), PackedTensor(out, height, width, segments)


def _weight_only_conv2d(
    builder: KernelBuilder,
    workload: WeightOnlyConv2d,
    source: PackedTensor,
    weight: Array,
    scale: Array,
    bias: Array,
) -> relax.Var:
    rows = source.scatter_channels(weight, workload.channels).transpose(2, 3, 1, 0).reshape(-1)
    padding = workload.blocks * workload.block - workload.out_channels
    arguments = [
        builder.view(source, source.height, source.width, workload.channels),
        *(relax.const(np.pad(values, (0, padding))) for values in (rows, scale, bias)),
    ]
    return builder.call(workload, arguments)


@dataclass(frozen=True)
class _Requantization:
    """`int(clip(round(float64(float32(sums)) * multiplier), 0, qmax))`."""

    multiplier: Array
    """One value, or `(O,)`."""
    qmax: int
    last: relax.Var
    """The variable that holds the integers."""


def _fuse_requantization(builder: KernelBuilder, sums: relax.Var) -> _Requantization:
    """Fuse the requantization of the int32 variable `sums`. Raises `ValueError` if it has none."""
    steps = [sums]
    for operator in ("astype", "astype", "multiply", "round", "clip", "astype"):
        user = builder.fuse(steps[-1], operator)
        if user is None:
            raise ValueError(f"an integer convolution is not requantized by {operator}")
        steps.append(user)
    values = {str(builder.graph.values[step].op.name): builder.graph.values[step] for step in steps}
    return _Requantization(
        multiplier=np.asarray(array(values["relax.multiply"].args[1])).reshape(-1),
        qmax=int(values["relax.clip"].args[2].value),
        last=steps[-1],
    )


def _integer_conv2d(
    builder: KernelBuilder,
    last: relax.Var,
    source: PackedTensor,
    weight: Array,
    bias: Array,
    max_input: int,
    row_stride: int,
) -> tuple[relax.Var, PackedTensor]:
    requantization = _fuse_requantization(builder, last)
    out_channels, _, kernel_height, kernel_width = weight.shape
    multiplier = np.broadcast_to(requantization.multiplier, out_channels).astype("float32")
    if builder.isa.tiles:
        operands = (weight, bias, multiplier, max_input)
        tiled = lower_to_tiles(builder, source, *operands, requantization.qmax, row_stride)
        if tiled is not None:
            return requantization.last, tiled
    height, width = conv_outputs(source, weight, row_stride)
    channels = -(-source.logical // GROUP) * GROUP
    steps = kernel_height * kernel_width * channels // GROUP
    tile = choose_tile(height, width, steps, out_channels, integer_step(builder.isa), builder.isa)
    block = tile.vectors * builder.isa.float_lanes
    window = (height, width, channels, kernel_height, kernel_width)
    workload = QuantizedConv2d(
        *window,
        out_channels,
        block,
        requantization.qmax,
        fit_int16(weight, bias, multiplier, max_input),
        not builder.isa.saturates and winograd_is_exact(weight, bias, max_input),
        row_stride=row_stride,
    )
    padded_channels = workload.blocks * block
    packed = pack_weight(source.scatter_channels(weight, channels), block)
    grouped = packed.reshape(*packed.shape[:3], channels // GROUP, GROUP, block)
    grouped = np.ascontiguousarray(grouped.swapaxes(4, 5))
    if builder.isa.saturates:
        check_pair_sums(grouped, max_input)
    arguments = [
        builder.view(source, source.height, source.width, channels),
        relax.const(grouped),
        relax.const(np.pad(bias, (0, padded_channels - out_channels))),
        relax.const(np.pad(multiplier, (0, padded_channels - out_channels))),
    ]
    out = builder.call(workload, arguments)
    segments = ((out_channels, padded_channels),)
    return requantization.last, PackedTensor(out, height, width, segments)
