"""The numbers of a function's channels: which of those that it once had are left.

Numbers are kept as the function's attribute `channels`, a list for each convolution in order, so
that scales and other values by channel can follow. A function without the attribute has none.
"""

import numpy as np
from tvm import relax

from relay_passes.channels.op_kind import Indices
from relay_passes.dataflow import Dataflow, is_call, shape

ATTRIBUTE = "channels"


def number_channels(function: relax.Function) -> relax.Function:
    """The function with the channels of each convolution numbered from 0 on."""
    counts = [shape(var)[1] for var in convolutions(Dataflow(function))]
    return _numbered(function, [np.arange(count) for count in counts])


def has_numbers(function: relax.Function) -> bool:
    """Whether the channels of `function` are numbered."""
    return ATTRIBUTE in dict(function.attrs.items()) if function.attrs else False


def channel_numbers(function: relax.Function) -> list[Indices]:
    """Of each convolution in order, the numbers of its channels in their order now."""
    return [np.array([int(n) for n in numbers]) for numbers in function.attrs[ATTRIBUTE]]


def select_numbers(function: relax.Function, kept: list[Indices]) -> relax.Function:
    """The function with only the numbers at `kept` of each convolution, in that order."""
    numbers = zip(channel_numbers(function), kept, strict=True)
    return _numbered(function, [before[places] for before, places in numbers])


def convolutions(graph: Dataflow) -> list[relax.Var]:
    """The variables that convolutions define, in order."""
    return [var for var, value in graph.values.items() if is_call(value, "nn.conv2d")]


def _numbered(function: relax.Function, numbers: list[Indices]) -> relax.Function:
    return function.with_attr(ATTRIBUTE, [one.tolist() for one in numbers])
