"""`DropDeadChannels`: channels that are constant or have no effect are removed."""

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from relay_passes.channels.flow import ChannelFlow
from relay_passes.channels.op_kind import Indices, OpKind
from relay_passes.channels.select import select_channels
from relay_passes.channels.sensitivity import negligible_channels, sinks
from relay_passes.dataflow import Dataflow

INPUT_BOUND = 1.0
"""Bound on inputs; preprocessing yields values within [-127.5 / 128, 127.5 / 128]."""


@relax.transform.function_pass(opt_level=0, name="DropDeadChannels")
class DropDeadChannels:
    """Repeated until nothing changes, for every output channel k of a convolution that is the
    constant c_k or has no effect, through ReLUs, pools, gathers and concatenations::

        y = conv2d(x, V) + a;  conv2d(f(y), W) + b
            =>  y = conv2d(x, V without rows k) + a without k
                conv2d(f(y), W without columns k) + (b + sum_k W_k f(c_k))

    `negligible_channels` decides which channels are constant or without effect, by worst cases and
    not by a threshold. Precondition: inputs within `[-INPUT_BOUND, INPUT_BOUND]`. Left alone are
    pinned channels, and channels whose constant is not 0 if a consumer pads with zeros or takes a
    mean over channels. The last channel of a tensor or of a gather is never dropped.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function without its dead channels."""
        while True:
            flow = ChannelFlow(Dataflow(function), INPUT_BOUND)
            orders = _alive(flow)
            if all(len(order) == len(flow.of[root]) for root, order in orders.items()):
                return function
            function = select_channels(flow, orders)


def _alive(flow: ChannelFlow) -> dict[relax.Var, Indices]:
    """Convolution to the channels to keep, at least one for each of its consumers."""
    found = sinks(flow)
    alive = {}
    for number, root in enumerate(flow.roots):
        if flow.kinds.get(root) is OpKind.MIX:
            dead = negligible_channels(flow, found, number) & ~flow.pinned_channels(number)
            alive[root] = ~dead
            if dead.all():
                alive[root][0] = True
    for var, kind in flow.kinds.items():
        if kind is OpKind.GATHER:
            _keep_one(flow, var, alive)
    return {root: np.flatnonzero(mask) for root, mask in alive.items()}


def _keep_one(
    flow: ChannelFlow, selection: relax.Var, alive: dict[relax.Var, npt.NDArray[np.bool_]]
) -> None:
    """Keep the first channel of a gather that would otherwise have none."""
    channels = flow.of[selection]
    origins = [(flow.roots[r], c) for r, c in zip(channels.root, channels.index, strict=True)]
    if not any(root not in alive or alive[root][channel] for root, channel in origins):
        root, channel = origins[0]
        alive[root][channel] = True
