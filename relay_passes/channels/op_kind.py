"""How an operator's output channels depend on its input channels, on axis 1 of NCHW."""

from enum import Enum, auto

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.dataflow import array, is_call, shape

Indices = npt.NDArray[np.int64]


class Kind(Enum):
    """How an operator's output channels depend on its input channels."""

    CONVOLVE = auto()  # on all of them, through constant weights
    FOLLOW = auto()  # output channel c on input channel c alone
    SELECT = auto()  # output channel i is input channel indices[i]
    CONCAT = auto()  # the inputs' channels one after another
    CHANNEL_MEAN = auto()  # one number per image, from all of them alike
    OPAQUE = auto()  # unknown: its arguments are pinned


def kind_of(value: relax.Expr) -> Kind:
    """The kind of the operator that `value` calls."""
    if is_call(value, "nn.conv2d"):
        known = array(value.args[1]) is not None and value.attrs.groups == 1
        return Kind.CONVOLVE if known and value.attrs.data_layout == "NCHW" else Kind.OPAQUE
    if is_call(value, "nn.max_pool2d") or is_call(value, "nn.avg_pool2d"):
        return Kind.FOLLOW if value.attrs.layout == "NCHW" else Kind.OPAQUE
    if is_call(value, "nn.relu") or is_call(value, "square"):
        return Kind.FOLLOW
    if is_call(value, "add"):
        bias = array(value.args[1])
        return Kind.FOLLOW if bias is not None and _is_per_channel(bias) else Kind.OPAQUE
    if is_call(value, "divide"):
        per_image = array(value.args[1]) is None and set(shape(value.args[1])[1:]) == {1}
        return Kind.FOLLOW if per_image else Kind.OPAQUE
    if is_call(value, "squeeze") or is_call(value, "mean"):
        axes = {int(axis) for axis in value.attrs.axis or ()}
        if axes and axes <= {2, 3}:
            return Kind.FOLLOW
        return Kind.CHANNEL_MEAN if is_call(value, "mean") and axes == {1, 2, 3} else Kind.OPAQUE
    if is_call(value, "concat") and value.attrs.axis == 1:
        return Kind.CONCAT
    return Kind.OPAQUE if selected_channels(value) is None else Kind.SELECT


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
