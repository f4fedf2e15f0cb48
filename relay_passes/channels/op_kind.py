"""How an operator's output channels depend on its input channels, on axis 1 of NCHW."""

from enum import Enum, auto

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.dataflow import array, is_call, shape

Indices = npt.NDArray[np.int64]


class OpKind(Enum):
    """How an operator's output channels depend on its input channels."""

    MIX = auto()  # on all input channels, with constant weights (convolution)
    CHANNELWISE = auto()  # output channel c depends on input channel c only
    GATHER = auto()  # output channel i is input channel indices[i]
    CONCAT = auto()  # the channels of all inputs, one input after the other
    CHANNEL_MEAN = auto()  # one number per image, the mean over all channels
    OPAQUE = auto()  # unknown: its arguments are pinned


def kind_of(value: relax.Expr) -> OpKind:
    """The kind of the operator that `value` calls."""
    if is_call(value, "nn.conv2d"):
        known = array(value.args[1]) is not None and value.attrs.groups == 1
        return OpKind.MIX if known and value.attrs.data_layout == "NCHW" else OpKind.OPAQUE
    if is_call(value, "nn.max_pool2d") or is_call(value, "nn.avg_pool2d"):
        return OpKind.CHANNELWISE if value.attrs.layout == "NCHW" else OpKind.OPAQUE
    if is_call(value, "nn.relu") or is_call(value, "square"):
        return OpKind.CHANNELWISE
    if is_call(value, "repeat"):
        return OpKind.CHANNELWISE if is_of_rows(value) else OpKind.OPAQUE
    if is_call(value, "add"):
        bias = array(value.args[1])
        return OpKind.CHANNELWISE if bias is not None and _is_per_channel(bias) else OpKind.OPAQUE
    if is_call(value, "divide"):
        per_image = array(value.args[1]) is None and set(shape(value.args[1])[1:]) == {1}
        return OpKind.CHANNELWISE if per_image else OpKind.OPAQUE
    if is_call(value, "squeeze") or is_call(value, "mean"):
        axes = {int(axis) for axis in value.attrs.axis or ()}
        if axes and axes <= {2, 3}:
            return OpKind.CHANNELWISE
        return (
            OpKind.CHANNEL_MEAN if is_call(value, "mean") and axes == {1, 2, 3} else OpKind.OPAQUE
        )
    if is_call(value, "concat") and value.attrs.axis == 1:
        return OpKind.CONCAT
    return OpKind.OPAQUE if selected_channels(value) is None else OpKind.GATHER


def is_of_rows(repeat: relax.Call) -> bool:
    """Whether `repeat` repeats the rows of a map."""
    return repeat.attrs.axis is not None and int(repeat.attrs.axis) == 2


def selected_channels(value: relax.Expr) -> Indices | None:
    """The input channels that a `strided_slice` or a constant `take` on axis 1 reads, or None."""
    if is_call(value, "take") and value.attrs.axis == 1:
        indices = array(value.args[1])
        return None if indices is None else np.asarray(indices, "int64")
    if is_call(value, "strided_slice"):
        axes, begin, end, step = (
            [int(entry) for entry in argument.fields] for argument in value.args[1:5]
        )
        if axes == [1]:
            return np.arange(shape(value.args[0])[1])[begin[0] : end[0] : step[0]]
    return None


def _is_per_channel(bias: npt.NDArray[np.generic]) -> bool:
    return bias.size == 1 or (bias.ndim == 4 and bias.size == bias.shape[1])
