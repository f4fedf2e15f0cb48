"""The origin and the value range of every channel of a dataflow graph.

A *root* is a variable whose channels are computed from all channels of its input: a parameter, a
convolution, a mean over channels, or an unknown operator. The channels of every other variable are
traced back to channels of roots. Ranges are worst cases by interval arithmetic (Moore, "Interval
Analysis", 1966) in float64; no data is used.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.channels.op_kind import Indices, OpKind, kind_of, selected_channels
from relay_passes.dataflow import Dataflow, arguments, float64, is_call, shape

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Channels:
    """Arrays over the channels of one variable: number of the root, channel of the root, least and
    greatest value.
    """

    root: Indices
    index: Indices
    low: Floats
    high: Floats

    def __len__(self) -> int:
        return len(self.index)

    @property
    def magnitude(self) -> Floats:
        """The greatest absolute value."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


class ChannelFlow:
    """The channels of every variable of `graph`, for inputs within `[-bound, bound]`.

    `roots[n]` is root number n. `pinned` lists the variables whose channels must stay as they are,
    because an unknown operator reads them or they are the result.
    """

    def __init__(self, graph: Dataflow, bound: float) -> None:
        self.graph = graph
        self.kinds = {var: kind_of(value) for var, value in graph.values.items()}
        self.selections: dict[relax.Var, Indices] = {
            var: indices
            for var, value in graph.values.items()
            if (indices := selected_channels(value)) is not None
        }
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
        pinned = np.zeros(len(self.of[self.roots[root]]), bool)
        for var in self.pinned:
            channels = self.of[var]
            pinned[channels.index[channels.root == root]] = True
        return pinned

    def _root(self, var: relax.Var, low: Floats, high: Floats) -> Channels:
        self.roots.append(var)
        return Channels(np.full(len(low), len(self.roots) - 1), np.arange(len(low)), low, high)

    def _after(self, var: relax.Var, value: relax.Expr) -> Channels:
        kind = self.kinds[var]
        if kind is OpKind.MIX:
            return self._root(var, *_convolution_bounds(value, self.of[value.args[0]]))
        if kind is OpKind.CHANNELWISE:
            source = self.of[value.args[0]]
            if is_call(value, "divide"):
                self.pinned.append(value.args[1])
            return Channels(source.root, source.index, *_channelwise_bounds(value, source))
        if kind is OpKind.GATHER:
            return _select(self.of[value.args[0]], self.selections[var])
        if kind is OpKind.CONCAT:
            return _concatenate([self.of[field] for field in value.args[0].fields])
        if kind is OpKind.OPAQUE:
            self.pinned += [argument for argument in arguments(value) if argument in self.of]
        extents = getattr(var.ty, "shape", None)
        unknown = np.full(
            int(extents[1]) if extents is not None and len(extents) > 1 else 1, np.inf
        )
        return self._root(var, -unknown, unknown)


def product(matrix: Floats, factor: Floats) -> Floats:
    """`matrix * factor` with 0 times infinity equal to 0."""
    with np.errstate(invalid="ignore"):
        return np.where((matrix == 0) | (factor == 0), 0.0, matrix * factor)


def _select(source: Channels, picked: Indices) -> Channels:
    return Channels(
        source.root[picked], source.index[picked], source.low[picked], source.high[picked]
    )


def _concatenate(parts: list[Channels]) -> Channels:
    return Channels(
        np.concatenate([part.root for part in parts]),
        np.concatenate([part.index for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def _convolution_bounds(conv: relax.Call, source: Channels) -> tuple[Floats, Floats]:
    """Bounds on each output channel of a convolution."""
    low, high = source.low, source.high
    if any(conv.attrs.padding):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    weight = float64(conv.args[1])
    up, down = np.maximum(weight, 0).sum((2, 3)), np.minimum(weight, 0).sum((2, 3))
    return (
        (product(up, low) + product(down, high)).sum(1),
        (product(up, high) + product(down, low)).sum(1),
    )


def _channelwise_bounds(value: relax.Call, source: Channels) -> tuple[Floats, Floats]:
    """Bounds on each output channel of an operator of kind CHANNELWISE."""
    low, high = source.low, source.high
    if is_call(value, "nn.relu"):
        return np.maximum(low, 0), np.maximum(high, 0)
    if is_call(value, "add"):
        bias = float64(value.args[1]).reshape(-1)
        return low + bias, high + bias
    if is_call(value, "square"):
        lowest = np.where((low <= 0) & (high >= 0), 0, np.minimum(np.abs(low), np.abs(high)))
        return lowest**2, source.magnitude**2
    if is_call(value, "divide"):
        unknown = np.where(source.magnitude == 0, 0, np.inf)
        return -unknown, unknown
    if is_call(value, "nn.avg_pool2d") and (any(value.attrs.padding) or value.attrs.ceil_mode):
        return np.minimum(low, 0), np.maximum(high, 0)
    return low, high
