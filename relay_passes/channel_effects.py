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

from relay_passes.channel_flow import (
    ChannelFlow,
    Channels,
    Floats,
    Kind,
    product,
    selected_channels,
)
from relay_passes.dataflow import array, is_call

UNIT_ROUNDOFF = float(np.finfo(np.float32).eps) / 2


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
        return np.zeros(len(channels.low))
    return np.where(np.isfinite(channels.low), channels.low, 0.0)


def sinks(flow: ChannelFlow) -> list[Sink]:
    """Every sink of the graph with its sensitivities, from the outputs back."""
    observed = list(flow.pinned)
    for var, kind in flow.kinds.items():
        value = flow.graph.values[var]
        if kind is Kind.CHANNEL_MEAN or is_call(value, "divide"):
            observed.append(value.args[0])
    widths = [len(flow.of[var].index) for var in observed]
    sensitivity = {var: np.zeros((sum(widths), len(c.index))) for var, c in flow.of.items()}
    for var, width, start in zip(observed, widths, np.cumsum([0, *widths[:-1]]), strict=True):
        sensitivity[var][start : start + width] += np.eye(width)
    found = []
    for var, value in reversed(flow.graph.values.items()):
        after, kind = sensitivity[var], flow.kinds[var]
        if kind is Kind.CONVOLVE:
            weight = np.abs(np.asarray(array(value.args[1]), "float64")).sum((2, 3))
            before = after @ weight
            sensitivity[value.args[0]] += before
            found.append(_sink(flow, value, before))
        elif kind is Kind.CHANNEL_MEAN:
            found.append(_sink(flow, value, sensitivity[value.args[0]]))
        elif kind is Kind.FOLLOW and not is_call(value, "divide"):
            sensitivity[value.args[0]] += product(after, _slope(value, flow.of[value.args[0]]))
        elif kind is Kind.SELECT:
            np.add.at(sensitivity[value.args[0]], (slice(None), selected_channels(value)), after)
        elif kind is Kind.CONCAT:
            fields = value.args[0].fields
            ends = np.cumsum([len(flow.of[field].index) for field in fields])
            for field, part in zip(fields, np.split(after, ends[:-1], axis=1), strict=True):
                sensitivity[field] += part
    return found


def negligible_channels(flow: ChannelFlow, found: list[Sink], root: int) -> npt.NDArray[np.bool_]:
    """Which channels of root number `root` no observation would miss.

    The rule compares like with like, worst case with worst case: replacing the channels by their
    constants may move no observation by more than rounding this root's activations to float32
    does. Each of the C channels is given 1 / C of that budget, so any set of them fits it.
    """
    count = len(flow.of[flow.roots[root]].index)
    observations = found[0].sensitivity.shape[0] if found else 0
    effect, budget = np.zeros((observations, count)), np.zeros(observations)
    for sink in found:
        here = sink.channels.root == root
        seen = sink.sensitivity[:, here]
        magnitude = sink.channels.magnitude[here]
        magnitude = np.where(np.isfinite(magnitude), magnitude, 0.0)
        np.add.at(
            effect, (slice(None), sink.channels.index[here]), product(seen, sink.errors[here])
        )
        budget += seen @ magnitude * UNIT_ROUNDOFF
    return np.all(effect <= budget[:, None] / count, axis=0)


def _sink(flow: ChannelFlow, value: relax.Expr, sensitivity: Floats) -> Sink:
    channels = flow.of[value.args[0]]
    constants = sink_constants(value, channels)
    errors = np.maximum(np.abs(channels.high - constants), np.abs(channels.low - constants))
    return Sink(channels, constants, errors, sensitivity)


def _slope(value: relax.Call, source: Channels) -> Floats:
    """The steepest change of each output channel of an operator of kind FOLLOW."""
    if is_call(value, "nn.relu"):
        return (source.high > 0).astype("float64")
    if is_call(value, "square"):
        return 2 * source.magnitude
    return np.ones(len(source.low))
