"""`BindConvolutions`: other weights, and maybe fewer channels, in a reduced graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from relay_passes.channels.numbers import convolutions, number_channels
from relay_passes.dataflow import (
    Dataflow,
    New,
    array,
    channel_constant,
    conv2d_like,
    is_call,
    shape,
)


@dataclass(frozen=True)
class Convolution:
    """A convolution and its bias, in float32."""

    weight: npt.NDArray[np.float32]
    """OIHW; it reads the first I channels of what is there."""
    bias: npt.NDArray[np.float32]
    """(O,)"""


@relax.transform.function_pass(opt_level=0, name="BindConvolutions")
class BindConvolutions:
    """For the convolutions in order, with the new weights W' (OIHW) and biases b' (O,)::

        conv2d(x, W) + b                          =>  conv2d(x, W') + b'
        conv2d(strided_slice(x, 0:k), W) + b      =>  conv2d(strided_slice(x, 0:I), W') + b'

    where a slice of all channels goes, and channels are numbered anew. Precondition: as
    `read_convolutions`, one new convolution for each old one with its kernel, each I at most the
    channels there are. Where a mean over channels is read, whose divisor would change with their
    number, other shapes raise `ValueError`.
    """

    def __init__(self, bound: Sequence[Convolution]) -> None:
        self.bound = bound

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with the new weights and biases."""
        graph = Dataflow(function)
        found = convolutions(graph)
        weights = dict(zip(found, self.bound, strict=True))
        biases = {_bias(graph, var): convolution for var, convolution in weights.items()}
        slices = {
            selection: len(convolution.weight[0])
            for var, convolution in weights.items()
            if (selection := _selection(graph, var)) is not None
        }
        if any(is_call(value, "mean") for value in graph.values.values()):
            for var, convolution in weights.items():
                if shape(graph.values[var].args[1]) != convolution.weight.shape:
                    raise ValueError("a mean over channels is read; no channel can be left out")

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if var in weights:
                return conv2d_like(value, new(value.args[0]), weights[var].weight)
            if var in biases:
                return relax.op.add(new(value.args[0]), channel_constant(biases[var].bias))
            if var in slices:
                data, count = new(value.args[0]), slices[var]
                if shape(data)[1] == count:
                    return data
                return relax.op.strided_slice(data, [1], [0], [count], [1])
            return None

        return number_channels(graph.rebuild(rewrite))


def read_convolutions(function: relax.Function) -> list[Convolution]:
    """The convolutions of a reduced graph in order.

    Precondition: each is read by the addition of its bias alone, and a selection between two of
    them takes the first channels (`OrderSlicedChannels`); anything else raises `ValueError`.
    """
    graph = Dataflow(function)
    read = []
    for var in convolutions(graph):
        selection = _selection(graph, var)
        if selection is not None:
            _check_prefix(graph.values[selection])
        weight = np.asarray(array(graph.values[var].args[1]), "float32")
        bias = np.asarray(array(graph.values[_bias(graph, var)].args[1]), "float32").reshape(-1)
        read.append(Convolution(weight, np.broadcast_to(bias, len(weight))))
    return read


def _bias(graph: Dataflow, convolution: relax.Var) -> relax.Var:
    """The addition of a constant that alone reads `convolution`."""
    added = graph.single_user(convolution)
    if added is None or not is_call(graph.values[added], "add"):
        raise ValueError("a convolution must be followed by the addition of its bias alone")
    if array(graph.values[added].args[1]) is None:
        raise ValueError("the bias of a convolution must be constant")
    return added


def _selection(graph: Dataflow, convolution: relax.Var) -> relax.Var | None:
    """The selection of channels that `convolution` reads, perhaps through repeated rows and a max
    pool.
    """
    source = graph.values[convolution].args[0]
    for operator in ("nn.max_pool2d", "repeat"):
        between = graph.match(source, operator)
        source = source if between is None else between.args[0]
    value = graph.values.get(source)
    return source if is_call(value, "strided_slice") or is_call(value, "take") else None


def _check_prefix(selection: relax.Expr) -> None:
    if is_call(selection, "strided_slice"):
        axes, begin, _, step = (
            [int(entry) for entry in argument.fields] for argument in selection.args[1:5]
        )
        if (axes, begin, step) == ([1], [0], [1]):
            return
    raise ValueError("a convolution must read the first channels of its source")
