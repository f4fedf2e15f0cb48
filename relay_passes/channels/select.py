"""Rebuilds a graph with channels of its convolutions dropped or reordered."""

from collections.abc import Mapping

import numpy as np
from tvm import relax

from relay_passes.channels.flow import ChannelFlow, Floats
from relay_passes.channels.numbers import convolutions, has_numbers, select_numbers
from relay_passes.channels.op_kind import Indices, OpKind
from relay_passes.channels.sensitivity import sink_constants
from relay_passes.dataflow import New, channel_constant, constant, conv2d_like, float64, is_call


def select_channels(flow: ChannelFlow, orders: Mapping[relax.Var, Indices]) -> relax.Function:
    """The function in which convolution `var` computes its channels `orders[var]`, in that order.

    A convolution that is not in `orders` keeps its channels. All consumers are adapted: weights
    lose or permute their input channels, gathers and concatenations are renumbered. A dropped
    channel is replaced by its constant of `sink_constants`: in an unpadded convolution it is added
    to the bias, elsewhere it is 0. The numbers of channels (`numbers.py`) are selected too.
    Precondition: no pinned channel is dropped or moved.
    """
    graph = flow.graph
    kept: dict[relax.Var, Indices] = {}
    for var in flow.of:
        kept[var] = _kept(flow, var, kept, orders)
    shifts: dict[relax.Var, Floats] = {}

    def convolve(var: relax.Var, value: relax.Call, new: New) -> relax.Expr:
        source = value.args[0]
        weight = float64(value.args[1])[kept[var]]
        constants = sink_constants(value, flow.of[source])
        constants[kept[source]] = 0
        shift = weight.sum((2, 3)) @ constants
        conv = conv2d_like(value, new(source), weight[:, kept[source]])
        user = graph.single_user(var)
        if user is not None and _is_bias(flow, user):
            shifts[user] = shift
        elif shift.any():
            return relax.op.add(conv, channel_constant(shift))
        return conv

    def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
        kind = flow.kinds[var]
        if kind is OpKind.MIX:
            return convolve(var, value, new)
        if _is_bias(flow, var):
            bias = float64(value.args[1]).reshape(-1)
            bias = np.broadcast_to(bias, len(flow.of[var]))[kept[var]]
            return relax.op.add(new(value.args[0]), channel_constant(bias + shifts.get(var, 0)))
        if kind is OpKind.GATHER:
            selected = flow.selections[var][kept[var]]
            return _gather(new(value.args[0]), list(kept[value.args[0]]), list(selected))
        if kind is OpKind.CHANNEL_MEAN:
            total, left = len(flow.of[value.args[0]]), len(kept[value.args[0]])
            mean = relax.op.mean(new(value.args[0]), [1, 2, 3], value.attrs.keepdims)
            return relax.op.multiply(mean, constant(left / total)) if left < total else None
        return None

    selected = graph.rebuild(rewrite)
    if not has_numbers(selected):
        return selected
    return select_numbers(selected, [kept[var] for var in convolutions(graph)])


def _kept(
    flow: ChannelFlow,
    var: relax.Var,
    kept: Mapping[relax.Var, Indices],
    orders: Mapping[relax.Var, Indices],
) -> Indices:
    """The channels of `var` that stay, in their new order."""
    if var in flow.roots:
        return orders.get(var, np.arange(len(flow.of[var])))
    value, kind = flow.graph.values[var], flow.kinds[var]
    if kind is OpKind.GATHER:
        return np.flatnonzero(np.isin(flow.selections[var], kept[value.args[0]]))
    if kind is OpKind.CONCAT:
        fields = value.args[0].fields
        starts = np.cumsum([0, *(len(flow.of[field]) for field in fields)])
        return np.concatenate([kept[f] + s for f, s in zip(fields, starts, strict=False)])
    return kept[value.args[0]]


def _is_bias(flow: ChannelFlow, var: relax.Var) -> bool:
    return flow.kinds[var] is OpKind.CHANNELWISE and is_call(flow.graph.values[var], "add")


def _gather(data: relax.Expr, present: list[int], selected: list[int]) -> relax.Expr:
    """The channels `selected` of `data`, which has the channels `present`: `data` itself if these
    are all, a `strided_slice` if they are evenly spaced, else a `take`.
    """
    indices = np.array([present.index(channel) for channel in selected])
    if indices.tolist() == list(range(len(present))):
        return data
    steps = set(np.diff(indices).tolist()) or {1}
    if len(steps) == 1 and (step := steps.pop()) > 0:
        return relax.op.strided_slice(data, [1], [int(indices[0])], [int(indices[-1]) + 1], [step])
    return relax.op.take(data, relax.const(indices, "int64"), axis=1)
