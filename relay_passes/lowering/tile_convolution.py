"""Lowers a convolution to one kernel call on tile registers."""

import numpy as np
import numpy.typing as npt
import tvm_ffi
from tvm import relax

from relay_passes.lowering.check_int16_results import fit_int16
from relay_passes.lowering.kernel_builder import KernelBuilder
from relay_passes.lowering.layout import Array, PackedTensor, conv_outputs, pack_weight
from schedules.amx.conv_tiles import min_width
from schedules.dot4_intrinsics import GROUP
from schedules.workloads.bfloat16 import PAIR, Bf16TileConv2d
from schedules.workloads.tile_conv import COLUMNS, TileConv2d, TiledConv


@tvm_ffi.register_error  # otherwise a pass turns it into another exception
class TileError(ValueError):
    """A network with a convolution that does not fit tile registers."""


def lower_to_tiles(
    builder: KernelBuilder,
    source: PackedTensor,
    weight: Array,
    bias: Array,
    multiplier: Array,
    max_input: int,
    qmax: int,
    row_stride: int,
) -> PackedTensor | None:
    """Emit the kernel of OIHW int8 `weight` on `source`, which is padded already, and return its
    output; None where tiles do not fit: the output is too narrow, a result might not fit int16, or
    the source is a concatenation.

    The kernel reads all channels of `source`, so that its pixels lie one after another.
    """
    window = _window(source, weight, row_stride)
    workload = TileConv2d(*window, len(weight), COLUMNS, qmax, row_stride=row_stride)
    if workload.width < min_width(workload.itemsize) or len(source.segments) > 1:
        return None
    if not fit_int16(weight, bias, multiplier, max_input):
        return None
    order = workload.channel_columns()[: len(weight)]
    columns = [_in_columns(workload, order, values) for values in (bias, multiplier)]
    return _call(builder, workload, source, _packed(workload, order, source, weight), columns)


def lower_bfloat16(
    builder: KernelBuilder, source: PackedTensor, weight: Array, bias: Array, row_stride: int
) -> PackedTensor:
    """Emit the kernel of OIHW bfloat16 `weight` on `source`, bfloat16 and padded already, ReLU
    included, and return its output.

    Raises `TileError` where the output is too narrow, and `ValueError` for a target without
    bfloat16 and a source that is a concatenation.
    """
    window = _window(source, weight, row_stride)
    workload = Bf16TileConv2d(*window, len(weight), COLUMNS, row_stride=row_stride)
    least = min_width(workload.itemsize)
    if workload.width < least:
        raise TileError(
            f"a layer of it is {workload.width} pixels wide, and bf16 needs {least}; build it in "
            "fp32 or int8."
        )
    if not builder.isa.bfloat16 or len(source.segments) > 1 or workload.channels % PAIR:
        raise ValueError("no kernel covers a convolution in bfloat16")
    order = np.arange(len(weight))
    bits = weight.view(np.uint16)
    biases = _in_columns(workload, order, bias.astype(np.float32))
    return _call(builder, workload, source, _packed(workload, order, source, bits), [biases])


def _window(source: PackedTensor, weight: Array, row_stride: int) -> tuple[int, int, int, int, int]:
    """Height and width of the output, channels of the input, and the filter's height and width."""
    _, _, kernel_height, kernel_width = weight.shape
    height, width = conv_outputs(source, weight, row_stride)
    return height, width, source.physical, kernel_height, kernel_width


def _in_columns(workload: TiledConv, order: npt.NDArray[np.intp], values: Array) -> Array:
    """`(O, ...)` in the order of the columns, the padding zeros."""
    columns = np.zeros((workload.padded_channels, *values.shape[1:]), values.dtype)
    columns[order] = values
    return columns


def _packed(
    workload: TiledConv, order: npt.NDArray[np.intp], source: PackedTensor, weight: Array
) -> Array:
    """The weights as tiles."""
    scattered = source.scatter_channels(weight, workload.channels)
    packed = pack_weight(_in_columns(workload, order, scattered), COLUMNS)
    together = GROUP // workload.itemsize
    groups = packed.reshape(*packed.shape[:3], -1, together, COLUMNS)
    return np.ascontiguousarray(groups.swapaxes(4, 5))


def _call(
    builder: KernelBuilder,
    workload: TileConv2d | Bf16TileConv2d,
    source: PackedTensor,
    weight: Array,
    columns: list[Array],
) -> PackedTensor:
    tiles = (workload.blocks, COLUMNS)
    constants = (relax.const(weight), *(relax.const(one.reshape(tiles)) for one in columns))
    out = builder.call(workload, [builder.view(source, *workload.data_shape), *constants])
    segments = ((workload.out_channels, workload.stored_channels),)
    return PackedTensor(out, workload.height, workload.width, segments)
