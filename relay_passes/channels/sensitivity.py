"""How much the graph's outputs can change if a channel is replaced by a constant.

Sensitivities are worst cases: `sensitivity[j, c]` bounds the change of observation j if channel c
changes by at most 1 at every position. Observations are the channels of all pinned variables (the
result, arguments of unknown operators) and of the inputs of per-image means and divisions, so that
no bound has to be propagated through a division.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.channels.flow import ChannelFlow, Channels, Floats, product
from relay_passes.channels.op_kind import OpKind
from relay_passes.dataflow import float64, is_call

RESOLUTION = (float(np.finfo(np.float32).eps) / 2) ** 2
"""2**-48, the square of the rounding error of float32 (2**-24)."""


@dataclass(frozen=True)
class Sink:
    """A convolution or a mean over channels, and the channels it reads.

    `constants` is the value that replaces each channel if it is dropped: its least value, or 0 if
    only zeros can be dropped (zero padding, a mean). `errors` is the largest difference between the
    channel and that value, `sensitivity` `(J, C)` its effect through this sink.
    """

    channels: Channels
    constants: Floats
    errors: Floats
    sensitivity: Floats


def sink_constants(value: relax.Expr, channels: Channels) -> Floats:
    """The value that replaces each dropped input channel of a convolution or channel mean."""
    if is_call(value, "mean") or any(value.attrs.padding):
        return np.zeros(len(channels))
    return np.where(np.isfinite(channels.low), channels.low, 0.0)


def sinks(flow: ChannelFlow) -> list[Sink]:
    """All sinks of the graph with their sensitivities, from the outputs backwards."""
    observations = _observations(flow)
    sensitivity = {var: matrix.copy() for var, matrix in observations.items()}
    found = []
    for var, value in reversed(flow.graph.values.items()):
        after, kind = sensitivity[var], flow.kinds[var]
        if kind is OpKind.MIX:
            before = _through(np.abs(float64(value.args[1])).sum((2, 3)), after)
            sensitivity[value.args[0]] += before
            found.append(_sink(flow, value, before))
        elif kind is OpKind.CHANNEL_MEAN:
            found.append(_sink(flow, value, observations[value.args[0]]))
        elif kind is OpKind.CHANNELWISE and not is_call(value, "divide"):
            sensitivity[value.args[0]] += product(after, _slope(value, flow.of[value.args[0]]))
        elif kind is OpKind.GATHER:
            picked = flow.selections[var]
            np.add.at(sensitivity[value.args[0]].T, picked, after.T)
        elif kind is OpKind.CONCAT:
            fields = value.args[0].fields
            ends = np.cumsum([len(flow.of[field]) for field in fields])
            for field, part in zip(fields, np.split(after, ends[:-1], axis=1), strict=True):
                sensitivity[field] += part
    return found


def negligible_channels(flow: ChannelFlow, found: list[Sink], root: int) -> npt.NDArray[np.bool_]:
    """Which channels of root number `root` can be replaced by their constants.

    Worst cases are compared: replacing all of them may change an observation by at most
    `RESOLUTION` times the largest contribution of one channel of this root. Rounding that channel
    to float32 changes the observation 2**24 times as much; the margin is needed because a worst
    case overestimates the contribution of live channels. Each of the C channels gets 1 / C of the
    budget, so the answer for one does not depend on the others. A channel that is exactly constant,
    or whose consumers' weights are zero, changes nothing and always passes.
    """
    count = len(flow.of[flow.roots[root]])
    effect, budget = np.zeros((1, count)), np.zeros(1)
    for sink in found:
        of_root = sink.channels.root == root
        if of_root.any():
            sensitivity, magnitude = sink.sensitivity[:, of_root], sink.channels.magnitude[of_root]
            change = np.zeros((len(sensitivity), count))
            np.add.at(
                change.T,
                sink.channels.index[of_root],
                product(sensitivity, sink.errors[of_root]).T,
            )
            effect = effect + change
            finite = np.where(np.isfinite(magnitude), magnitude, 0.0)
            budget = np.maximum(budget, product(sensitivity, finite).max(1) * RESOLUTION)
    return np.asarray((effect <= budget[:, None] / count).all(axis=0), bool)


def _observations(flow: ChannelFlow) -> dict[relax.Var, Floats]:
    """Per variable a `(J, C)` matrix: one row for each of its channels that is observed."""
    observed = list(flow.pinned)
    for var, kind in flow.kinds.items():
        value = flow.graph.values[var]
        if kind is OpKind.CHANNEL_MEAN or is_call(value, "divide"):
            observed.append(value.args[0])
    observed = list(dict.fromkeys(observed))
    ends = np.cumsum([len(flow.of[var]) for var in observed])
    matrices = {var: np.zeros((ends[-1], len(channels))) for var, channels in flow.of.items()}
    for var, end in zip(observed, ends, strict=True):
        matrices[var][end - len(flow.of[var]) : end] = np.eye(len(flow.of[var]))
    return matrices


def _sink(flow: ChannelFlow, value: relax.Expr, sensitivity: Floats) -> Sink:
    channels = flow.of[value.args[0]]
    constants = sink_constants(value, channels)
    errors = np.maximum(np.abs(channels.high - constants), np.abs(channels.low - constants))
    return Sink(channels, constants, errors, sensitivity)


def _through(weight: Floats, after: Floats) -> Floats:
    """`after @ weight`; an unbounded sensitivity stays unbounded even with a zero weight."""
    with np.errstate(invalid="ignore"):
        before = after @ weight
    return np.where(np.isnan(before), np.inf, before)


def _slope(value: relax.Call, source: Channels) -> Floats:
    """The steepest change of each output channel of an operator of kind CHANNELWISE."""
    if is_call(value, "nn.relu"):
        return (source.high > 0).astype("float64")
    if is_call(value, "square"):
        return 2 * source.magnitude
    return np.ones(len(source))
