"""Where every channel of a dataflow graph comes from and between which values it stays.

A *root* is a variable whose channels are computed from all channels of something else: a
parameter, a convolution, a mean over channels, an operator not known here. The channels of every
other variable are followed back to channels of roots. Bounds are worst cases from interval
arithmetic (Moore, "Interval Analysis", 1966) in float64; no data is looked at.
"""

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.dataflow import Dataflow, arguments, array, is_call, shape

Floats = npt.NDArray[np.float64]
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
    if any(is_call(value, f"nn.{name}") for name in ("relu", "max_pool2d", "avg_pool2d")):
        return Kind.FOLLOW
    if is_call(value, "square"):
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
        return array(value.args[1])
    if is_call(value, "strided_slice"):
        axes, begin, end, step = (
            [int(entry) for entry in argument.fields] for argument in value.args[1:5]
        )
        if axes == [1]:
            return np.arange(shape(value.args[0])[1])[begin[0] : end[0] : step[0]]
    return None


@dataclass(frozen=True)
class Channels:
    """Per channel of one variable: its root (a number), its index there, its least and greatest
    value."""

    root: Indices
    index: Indices
    low: Floats
    high: Floats

    @property
    def magnitude(self) -> Floats:
        """The greatest absolute value."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


class ChannelFlow:
    """The channels of every variable of `graph`, for inputs within `[-bound, bound]`.

    `roots[n]` is root number n. `pinned` holds the variables that are read whole, by an unknown
    operator or as the result: their channels may be neither dropped nor reordered.
    """

    def __init__(self, graph: Dataflow, bound: float) -> None:
        self.graph = graph
        self.kinds = {var: kind_of(value) for var, value in graph.values.items()}
        self.roots: list[relax.Var] = []
        self.of: dict[relax.Var, Channels] = {}
        self.pinned: list[relax.Var] = [graph.result]
        for parameter in graph.parameters:
            extent = np.full(shape(parameter)[1], bound)
            self.of[parameter] = self._root(parameter, -extent, extent)
        for var, value in graph.values.items():
            self.of[var] = self._after(var, value)

    def pinned_channels(self, root: int) -> npt.NDArray[np.bool_]:
        """Which channels of root number `root` a pinned variable reads."""
        pinned = np.zeros(len(self.of[self.roots[root]].index), bool)
        for var in self.pinned:
            channels = self.of[var]
            pinned[channels.index[channels.root == root]] = True
        return pinned

    def _root(self, var: relax.Var, low: Floats, high: Floats) -> Channels:
        self.roots.append(var)
        return Channels(np.full(len(low), len(self.roots) - 1), np.arange(len(low)), low, high)

    def _after(self, var: relax.Var, value: relax.Expr) -> Channels:
        kind = self.kinds[var]
        if kind is Kind.CONVOLVE:
            return self._root(var, *_convolved(value, self.of[value.args[0]]))
        if kind is Kind.FOLLOW:
            source = self.of[value.args[0]]
            if is_call(value, "divide"):
                self.pinned.append(value.args[1])
            return Channels(source.root, source.index, *_followed(value, source))
        if kind in (Kind.SELECT, Kind.CONCAT):
            parts = [self.of[argument] for argument in arguments(value) if argument in self.of]
            positions = selected_channels(value)
            rows = [(part.root, part.index, part.low, part.high) for part in parts]
            joined = [np.concatenate(columns) for columns in zip(*rows, strict=True)]
            return Channels(*(j if positions is None else j[positions] for j in joined))
        if kind is Kind.OPAQUE:
            self.pinned += [argument for argument in arguments(value) if argument in self.of]
        extents = getattr(var.ty, "shape", None)
        unknown = np.full(
            int(extents[1]) if extents is not None and len(extents) > 1 else 1, np.inf
        )
        return self._root(var, -unknown, unknown)


def product(matrix: Floats, factor: Floats) -> Floats:
    """`matrix * factor`, where nothing times infinity is nothing."""
    with np.errstate(invalid="ignore"):
        return np.where((matrix == 0) | (factor == 0), 0.0, matrix * factor)


def _is_per_channel(bias: npt.NDArray[np.generic]) -> bool:
    return bias.size == 1 or (bias.ndim == 4 and bias.size == bias.shape[1])


def _convolved(conv: relax.Call, source: Channels) -> tuple[Floats, Floats]:
    """Bounds on each output channel of a convolution."""
    low, high = source.low, source.high
    if any(conv.attrs.padding):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    weight = np.asarray(array(conv.args[1]), "float64")
    up, down = np.maximum(weight, 0).sum((2, 3)), np.minimum(weight, 0).sum((2, 3))
    return (
        (product(up, low) + product(down, high)).sum(1),
        (product(up, high) + product(down, low)).sum(1),
    )


def _followed(value: relax.Call, source: Channels) -> tuple[Floats, Floats]:
    """Bounds on each output channel of an operator of kind FOLLOW."""
    low, high = source.low, source.high
    if is_call(value, "nn.relu"):
        return np.maximum(low, 0), np.maximum(high, 0)
    if is_call(value, "add"):
        bias = np.asarray(array(value.args[1]), "float64").reshape(-1)
        return low + bias, high + bias
    if is_call(value, "square"):
        least = np.where((low <= 0) & (high >= 0), 0, np.minimum(np.abs(low), np.abs(high)))
        return least**2, source.magnitude**2
    if is_call(value, "divide"):
        unknown = np.where(source.magnitude == 0, 0, np.inf)
        return -unknown, unknown
    if is_call(value, "nn.avg_pool2d") and (any(value.attrs.padding) or value.attrs.ceil_mode):
        return np.minimum(low, 0), np.maximum(high, 0)
    return low, high
