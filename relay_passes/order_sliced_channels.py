"""`OrderSlicedChannels`: a tensor that is read in part gets that part's channels first."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.channels.flow import ChannelFlow
from relay_passes.channels.op_kind import Indices, OpKind
from relay_passes.channels.select import select_channels
from relay_passes.dataflow import Dataflow


@relax.transform.function_pass(opt_level=0, name="OrderSlicedChannels")
class OrderSlicedChannels:
    """A gather of k channels becomes a slice of the leading channels::

        y = conv2d(x, W) + b;  take(f(y), indices, axis=1)
            =>  y = conv2d(x, W[order]) + b[order];  strided_slice(f(y), [1], [0], [k], [1])
        order = indices, then every other channel

    The weights of all other consumers are permuted accordingly. Precondition: all gathered channels
    come from one convolution, each at most once, and its channels are not pinned. Of several
    gathers of one tensor the first becomes a slice, and the others are left alone.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its sliced tensors reordered."""
        flow = ChannelFlow(Dataflow(function), bound=0.0)
        orders: dict[relax.Var, Indices] = {}
        for var, kind in flow.kinds.items():
            if kind is not OpKind.GATHER or len(set(flow.of[var].root)) != 1:
                continue
            number, first = int(flow.of[var].root[0]), flow.of[var].index
            root = flow.roots[number]
            movable = flow.kinds.get(root) is OpKind.MIX and root not in orders
            if movable and not flow.pinned_channels(number).any():
                rest = np.setdiff1d(np.arange(len(flow.of[root])), first)
                if len(np.unique(first)) == len(first):
                    orders[root] = np.concatenate([first, rest])
        return select_channels(flow, orders) if orders else function
