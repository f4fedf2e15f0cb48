"""Whether the first convolution reads the rows of its window as one, and its filter then."""

import numpy as np
from tvm import relax

from relay_passes.dataflow import Dataflow, array, is_call
from relay_passes.lowering.layout import Array, PackedTensor
from schedules.amx.instructions import TILE_BYTES
from schedules.isa import Isa
from schedules.stack_rows import can_stack_rows
from schedules.workloads.stack_rows import StackRows


def stacked_image(
    graph: Dataflow, var: relax.Var, source: PackedTensor, isa: Isa
) -> StackRows | None:
    """The kernel that stacks the rows of the image `var`, whose bytes are in `source`, for the
    single convolution that reads it; None where it reads them as they are.

    A product of tiles takes its time whatever its bytes. So rows are stacked for tile registers
    where all of a window fits one product.
    """
    user = graph.single_user(var)
    while user is not None and is_call(graph.values[user], "dequantize"):
        user = graph.single_user(user)
    if not isa.tiles or user is None or not is_call(graph.values[user], "nn.conv2d"):
        return None
    conv = graph.values[user]
    integers = graph.match(conv.args[1], "dequantize")
    weight = np.asarray(array(conv.args[1] if integers is None else integers.args[0]))
    _, channels, rows, columns = weight.shape
    stack = StackRows(source.height - rows + 1, source.width, channels, rows)
    fits = rows > 1 and stack.height > 0 and columns * stack.padded <= TILE_BYTES
    if any(conv.attrs.padding) or not fits or not can_stack_rows(source.width, channels):
        return None
    return stack


def stack_filter(weight: Array) -> Array:
    """OIHW weights as `(O, H * I, 1, W)`, for an image of stacked rows."""
    out_channels, *_, columns = weight.shape
    stacked: Array = weight.transpose(0, 2, 1, 3).reshape(out_channels, -1, 1, columns)
    return stacked
