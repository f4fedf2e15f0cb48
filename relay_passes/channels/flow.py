"""Where every channel of a dataflow graph comes from and between which values it stays.

A *root* is a variable whose channels are computed from all channels of something else: a
parameter, a convolution, a mean over channels, an operator not known here. The channels of every
other variable are followed back to channels of roots. Bounds are worst cases from interval
arithmetic (Moore, "Interval Analysis", 1966) in float64; no data is looked at.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.channels.op_kind import Indices, Kind, kind_of, selected_channels
from relay_passes.dataflow import Dataflow, arguments, float64, is_call, shape

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Channels:
    """Per channel of one variable: its root (a number), its index there, its least and greatest
    value."""

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

    `roots[n]` is root number n. `pinned` holds the variables that are read whole, by an unknown
    operator or as the result: their channels may be neither dropped nor reordered.
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
        if kind is Kind.CONVOLVE:
            return self._root(var, *_convolved(value, self.of[value.args[0]]))
        if kind is Kind.FOLLOW:
            source = self.of[value.args[0]]
            if is_call(value, "divide"):
                self.pinned.append(value.args[1])
            return Channels(source.root, source.index, *_followed(value, source))
        if kind is Kind.SELECT:
            return _select(self.of[value.args[0]], self.selections[var])
        if kind is Kind.CONCAT:
            return _concatenate([self.of[field] for field in value.args[0].fields])
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


def _convolved(conv: relax.Call, source: Channels) -> tuple[Floats, Floats]:
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


def _followed(value: relax.Call, source: Channels) -> tuple[Floats, Floats]:
    """Bounds on each output channel of an operator of kind FOLLOW."""
    low, high = source.low, source.high
    if is_call(value, "nn.relu"):
        return np.maximum(low, 0), np.maximum(high, 0)
    if is_call(value, "add"):
        bias = float64(value.args[1]).reshape(-1)
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
