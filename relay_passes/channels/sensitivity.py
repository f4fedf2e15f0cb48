"""How far the graph's outputs can move when a channel is replaced by a constant.

Sensitivities are worst cases: `sensitivity[j, c]` bounds the change of observation j when channel
c changes by at most 1 wherever it is. Observations are the channels of everything read whole (the
result, arguments of unknown operators) and of what a per-image mean or division reads, so that no
bound has to be carried through a division.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import relax

from relay_passes.channels.flow import ChannelFlow, Channels, Floats, product
from relay_passes.channels.op_kind import Kind
from relay_passes.dataflow import float64, is_call

RESOLUTION = (float(np.finfo(np.float32).eps) / 2) ** 2
"""2**-48: what rounding to float32 changes, 2**-24, of what rounding to float32 changes."""


@dataclass(frozen=True)
class Sink:
    """A convolution or a mean over channels, and the channels it reads.

    `constants` is the value that would stand for each channel if it were dropped: its least value,
    or 0 where only zeros vanish without a trace (zero padding, a mean). `errors` is how far the
    channel can be from that value, `sensitivity` `(J, C)` what this reader alone makes of it.
    """

    channels: Channels
    constants: Floats
    errors: Floats
    sensitivity: Floats


def sink_constants(value: relax.Expr, channels: Channels) -> Floats:
    """The value that stands for each dropped input channel of a convolution or channel mean."""
    if is_call(value, "mean") or any(value.attrs.padding):
        return np.zeros(len(channels))
    return np.where(np.isfinite(channels.low), channels.low, 0.0)


def sinks(flow: ChannelFlow) -> list[Sink]:
    """Every sink of the graph with its sensitivities, found from the outputs back."""
    observations = _observations(flow)
    sensitivity = {var: seen.copy() for var, seen in observations.items()}
    found = []
    for var, value in reversed(flow.graph.values.items()):
        after, kind = sensitivity[var], flow.kinds[var]
        if kind is Kind.CONVOLVE:
            before = _through(np.abs(float64(value.args[1])).sum((2, 3)), after)
            sensitivity[value.args[0]] += before
            found.append(_sink(flow, value, before))
        elif kind is Kind.CHANNEL_MEAN:
            found.append(_sink(flow, value, observations[value.args[0]]))
        elif kind is Kind.FOLLOW and not is_call(value, "divide"):
            sensitivity[value.args[0]] += product(after, _slope(value, flow.of[value.args[0]]))
        elif kind is Kind.SELECT:
            picked = flow.selections[var]
            np.add.at(sensitivity[value.args[0]].T, picked, after.T)
        elif kind is Kind.CONCAT:
            fields = value.args[0].fields
            ends = np.cumsum([len(flow.of[field]) for field in fields])
            for field, part in zip(fields, np.split(after, ends[:-1], axis=1), strict=True):
                sensitivity[field] += part
    return found


def negligible_channels(flow: ChannelFlow, found: list[Sink], root: int) -> npt.NDArray[np.bool_]:
    """Which channels of root number `root` no observation would miss.

    Worst case is compared with worst case: replacing all of them by their constants may move an
    observation by at most `RESOLUTION` of the most that one channel of this root contributes to
    it. Rounding that channel to float32 moves it 2**24 times as far; the margin is there because
    worst cases flatter the contribution of live channels. Each of the C channels gets 1 / C of
    that budget, so the answer for one does not depend on the others. A channel that is exactly
    constant, or whose readers' weights are zero, moves nothing and passes whatever the budget.
    """
    count = len(flow.of[flow.roots[root]])
    effect, budget = np.zeros((1, count)), np.zeros(1)
    for sink in found:
        here = sink.channels.root == root
        if here.any():
            seen, magnitude = sink.sensitivity[:, here], sink.channels.magnitude[here]
            caused = np.zeros((len(seen), count))
            np.add.at(caused.T, sink.channels.index[here], product(seen, sink.errors[here]).T)
            effect = effect + caused
            finite = np.where(np.isfinite(magnitude), magnitude, 0.0)
            budget = np.maximum(budget, product(seen, finite).max(1) * RESOLUTION)
    return np.asarray((effect <= budget[:, None] / count).all(axis=0), bool)


def _observations(flow: ChannelFlow) -> dict[relax.Var, Floats]:
    """Per variable a `(J, C)` matrix: one row for each of its channels that is observed."""
    observed = list(flow.pinned)
    for var, kind in flow.kinds.items():
        value = flow.graph.values[var]
        if kind is Kind.CHANNEL_MEAN or is_call(value, "divide"):
            observed.append(value.args[0])
    observed = list(dict.fromkeys(observed))
    ends = np.cumsum([len(flow.of[var]) for var in observed])
    seen = {var: np.zeros((ends[-1], len(channels))) for var, channels in flow.of.items()}
    for var, end in zip(observed, ends, strict=True):
        seen[var][end - len(flow.of[var]) : end] = np.eye(len(flow.of[var]))
    return seen


def _sink(flow: ChannelFlow, value: relax.Expr, sensitivity: Floats) -> Sink:
    channels = flow.of[value.args[0]]
    constants = sink_constants(value, channels)
    errors = np.maximum(np.abs(channels.high - constants), np.abs(channels.low - constants))
    return Sink(channels, constants, errors, sensitivity)


def _through(weight: Floats, after: Floats) -> Floats:
    """`after @ weight`; an unbounded sensitivity stays one even where it meets a zero weight."""
    with np.errstate(invalid="ignore"):
        before = after @ weight
    return np.where(np.isnan(before), np.inf, before)


def _slope(value: relax.Call, source: Channels) -> Floats:
    """The steepest change of each output channel of an operator of kind FOLLOW."""
    if is_call(value, "nn.relu"):
        return (source.high > 0).astype("float64")
    if is_call(value, "square"):
        return 2 * source.magnitude
    return np.ones(len(source))
