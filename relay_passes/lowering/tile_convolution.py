"""Lowers an integer convolution to one kernel call on tile registers."""

import numpy as np
from tvm import relax

from relay_passes.lowering.check_int16_results import fit_int16
from relay_passes.lowering.kernel_builder import KernelBuilder
from relay_passes.lowering.layout import Array, PackedTensor, pack_weight
from schedules.amx.conv_tiles import MIN_WIDTH
from schedules.dot4_intrinsics import GROUP
from schedules.workloads.tile_conv import COLUMNS, TileConv2d


def lower_to_tiles(
    builder: KernelBuilder,
    source: PackedTensor,
    weight: Array,
    bias: Array,
    multiplier: Array,
    max_input: int,
    qmax: int,
) -> PackedTensor | None:
    """Emit the kernel of OIHW int8 `weight` on `source`, which is padded already, and return its
    output; None where tiles do not fit: the output is too narrow, a result might not fit int16, or
    the source is a concatenation.

    The kernel reads all channels of `source`, so that its pixels lie one after another.
    """
    out_channels, _, kernel_height, kernel_width = weight.shape
    height, width = source.height - kernel_height + 1, source.width - kernel_width + 1
    if width < MIN_WIDTH or len(source.segments) > 1:
        return None
    if not fit_int16(weight, bias, multiplier, max_input):
        return None
    window = (height, width, source.physical, kernel_height, kernel_width)
    workload = TileConv2d(*window, out_channels, COLUMNS, qmax)
    order = workload.channel_columns()[:out_channels]

    def in_columns(values: Array) -> Array:
        """`(O, ...)` in the order of the columns, the padding zeros."""
        columns = np.zeros((workload.padded_channels, *values.shape[1:]), values.dtype)
        columns[order] = values
        return columns

    packed = pack_weight(in_columns(source.scatter_channels(weight, workload.channels)), COLUMNS)
    groups = packed.reshape(*packed.shape[:3], workload.channels // GROUP, GROUP, COLUMNS)
    tiles = (workload.blocks, COLUMNS)
    arguments = [
        source.tensor,
        relax.const(np.ascontiguousarray(groups.swapaxes(4, 5))),
        relax.const(in_columns(bias).reshape(tiles)),
        relax.const(in_columns(multiplier).reshape(tiles)),
    ]
    out = builder.call(workload, arguments)
    return PackedTensor(out, height, width, ((out_channels, workload.padded_channels),))
