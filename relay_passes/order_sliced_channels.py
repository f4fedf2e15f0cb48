"""`OrderSlicedChannels`: a map that is read in part computes that part's channels first."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.channels.flow import ChannelFlow
from relay_passes.channels.op_kind import Indices, Kind
from relay_passes.channels.select import select_channels
from relay_passes.dataflow import Dataflow


@relax.transform.function_pass(opt_level=0, name="OrderSlicedChannels")
class OrderSlicedChannels:
    """A selection of k channels becomes a prefix::

        y = conv2d(x, W) + b;  take(f(y), indices, axis=1)
            =>  y = conv2d(x, W[order]) + b[order];  strided_slice(f(y), [1], [0], [k], [1])
        order = indices, then every other channel

    Every other reader's weights are permuted alike. Precondition: all selected channels come from
    one convolution, each at most once, and nobody reads it whole. Of several selections of one map
    the first becomes the prefix and the others are left as they are.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its sliced maps reordered."""
        flow = ChannelFlow(Dataflow(function), bound=0.0)
        orders: dict[relax.Var, Indices] = {}
        for var, kind in flow.kinds.items():
            if kind is not Kind.SELECT or len(set(flow.of[var].root)) != 1:
                continue
            number, first = int(flow.of[var].root[0]), flow.of[var].index
            root = flow.roots[number]
            movable = flow.kinds.get(root) is Kind.CONVOLVE and root not in orders
            if movable and not flow.pinned_channels(number).any():
                rest = np.setdiff1d(np.arange(len(flow.of[root])), first)
                if len(np.unique(first)) == len(first):
                    orders[root] = np.concatenate([first, rest])
        return select_channels(flow, orders) if orders else function
