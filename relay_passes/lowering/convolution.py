"""Convolutions with bias and ReLU or requantization as one kernel call on packed weights."""

import numpy as np
from tvm import relax

from relay_passes.dataflow import array
from relay_passes.lowering.check_pair_sums import check_pair_sums
from relay_passes.lowering.kernel_builder import Emitter
from relay_passes.lowering.layout import Activation, Array, is_integer, pack_weight
from schedules.dot4_intrinsics import GROUP
from schedules.register_tiles import choose_tile, float_step, integer_step
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import DequantizeWeight, QuantizedConv2d
from schedules.workloads.weights_only import MOST_TILES, ScaledConv2d


def lower_conv2d(
    emit: Emitter, source: Activation, var: relax.Var, value: relax.Call
) -> tuple[relax.Var, Activation]:
    """The kernel of the convolution `value` of `source`, defined by `var`, and of what follows it.

    Returns the variable that the last fused operator defines, and what the kernel leaves. Raises
    `ValueError` for a convolution that no kernel covers.
    """
    weight, scale = _weight(emit, value.args[1])
    out_channels = len(weight)
    attrs = value.attrs
    plain = all(int(n) == 1 for n in (*attrs.strides, *attrs.dilation, attrs.groups))
    padding = [int(n) for n in attrs.padding]
    if not plain or padding[:2] != padding[2:]:
        raise ValueError(f"no kernel covers {value}")
    integer = is_integer(weight) and scale is None
    bias, last = np.zeros(out_channels, "int32" if integer else "float32"), var
    add = emit.fuse(last, "add")
    if add is not None:
        values = array(emit.graph.values[add].args[1])
        if values is None or values.size > 1 and values.shape != (1, out_channels, 1, 1):
            raise ValueError(f"no kernel covers {emit.graph.values[add]}")
        bias, last = np.broadcast_to(values.reshape(-1), out_channels), add

    tensor, rows, columns = source.tensor, source.height, source.width
    if any(padding):
        top, left = padding[:2]
        widths = [top, top, left, left, 0, 0]
        tensor = emit.builder.emit(relax.op.nn.pad(tensor, widths, pad_value=0))
        rows, columns = rows + 2 * top, columns + 2 * left
    padded = Activation(tensor, rows, columns, source.segments)
    if integer:
        largest = int(np.iinfo(str(value.args[0].ty.dtype)).max)
        return _integer_conv2d(emit, last, padded, weight, bias, largest)
    return _float_conv2d(emit, last, padded, weight, scale, bias)


def _weight(emit: Emitter, expression: relax.Expr) -> tuple[Array, Array | None]:
    """OIHW weights, and the `(O,)` scales that make int8 ones real."""
    dequantize = emit.graph.match(expression, "dequantize")
    if dequantize is None:
        return np.asarray(array(expression)), None
    weight, scale = (np.asarray(array(argument)) for argument in dequantize.args[:2])
    return weight, np.broadcast_to(scale.reshape(-1), len(weight))


def _float_conv2d(
    emit: Emitter,
    last: relax.Var,
    source: Activation,
    weight: Array,
    scale: Array | None,
    bias: Array,
) -> tuple[relax.Var, Activation]:
    relu = emit.fuse(last, "nn.relu")
    out_channels, _, kernel_height, kernel_width = weight.shape
    height, width = source.height - kernel_height + 1, source.width - kernel_width + 1
    channels = source.logical if len(source.segments) == 1 else source.physical
    steps = kernel_height * kernel_width * channels
    tile = choose_tile(height, width, steps, out_channels, float_step(emit.isa), emit.isa)
    block = tile.vectors * emit.isa.float_lanes
    window = (height, width, channels, kernel_height, kernel_width)
    segments = ((out_channels, -(-out_channels // block) * block),)
    if scale is not None and relu is None and height * width <= MOST_TILES * tile.pixels:
        scaled = ScaledConv2d(*window, out_channels, block)
        out = _scaled_conv2d(emit, scaled, source, weight, scale, bias)
        return last, Activation(out, height, width, segments)
    workload = Conv2d(*window, out_channels, block, relu=relu is not None)
    filled = workload.blocks * block
    packed = relax.const(pack_weight(source.spread(weight, channels), block))
    if scale is not None:
        blocks = workload.blocks
        scales = np.pad(scale, (0, filled - out_channels)).reshape(blocks, block)
        dequantize = DequantizeWeight(blocks, kernel_height, kernel_width, channels, block)
        packed = emit.call(dequantize, [packed, relax.const(scales)])
    arguments = [
        emit.view(source, source.height, source.width, channels),
        packed,
        relax.const(np.pad(bias, (0, filled - out_channels))),
    ]
    out = emit.call(workload, arguments)
    return (last if relu is None else relu), Activation(out, height, width, segments)


def _scaled_conv2d(
    emit: Emitter,
    workload: ScaledConv2d,
    source: Activation,
    weight: Array,
    scale: Array,
    bias: Array,
) -> relax.Var:
    rows = source.spread(weight, workload.channels).transpose(2, 3, 1, 0).reshape(-1)
    filling = workload.blocks * workload.block - workload.out_channels
    arguments = [
        emit.view(source, source.height, source.width, workload.channels),
        *(relax.const(np.pad(values, (0, filling))) for values in (rows, scale, bias)),
    ]
    return emit.call(workload, arguments)


def _integer_conv2d(
    emit: Emitter,
    last: relax.Var,
    source: Activation,
    weight: Array,
    bias: Array,
    largest_input: int,
) -> tuple[relax.Var, Activation]:
    chain = [last]
    for operator in ("astype", "astype", "multiply", "round", "clip", "astype"):
        reader = emit.fuse(chain[-1], operator)
        if reader is None:
            raise ValueError(f"an integer convolution is not requantized by {operator}")
        chain.append(reader)
    _, _, _, multiply, _, clip, last = chain
    out_channels, _, kernel_height, kernel_width = weight.shape
    height, width = source.height - kernel_height + 1, source.width - kernel_width + 1
    channels = -(-source.logical // GROUP) * GROUP
    steps = kernel_height * kernel_width * channels // GROUP
    tile = choose_tile(height, width, steps, out_channels, integer_step(emit.isa), emit.isa)
    block = tile.vectors * emit.isa.float_lanes
    window = (height, width, channels, kernel_height, kernel_width)
    levels = int(emit.graph.values[clip].args[2].value)
    workload = QuantizedConv2d(*window, out_channels, block, levels)
    filled = workload.blocks * block
    multiplier = np.asarray(array(emit.graph.values[multiply].args[1])).reshape(-1)
    multiplier = np.broadcast_to(multiplier, out_channels).astype("float32")
    packed = pack_weight(source.spread(weight, channels), block)
    grouped = packed.reshape(*packed.shape[:3], channels // GROUP, GROUP, block)
    grouped = np.ascontiguousarray(grouped.swapaxes(4, 5))
    if emit.isa.saturates:
        check_pair_sums(grouped, largest_input)
    arguments = [
        emit.view(source, source.height, source.width, channels),
        relax.const(grouped),
        relax.const(np.pad(bias, (0, filled - out_channels))),
        relax.const(np.pad(multiplier, (0, filled - out_channels))),
    ]
    out = emit.call(workload, arguments)
    segments = ((out_channels, filled),)
    return last, Activation(out, height, width, segments)
