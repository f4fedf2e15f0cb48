"""The parameters of a kernel that is emitted statement by statement."""

from typing import NamedTuple

from tvm import tirx
from tvm.script.ir_builder import tirx as T


def declare_parameters(function: tirx.PrimFunc) -> list[tirx.Buffer]:
    """Those of `function`, as parameters of the function that is being built."""
    return [
        T.arg(buffer.name, T.buffer(buffer.shape, str(buffer.dtype), layout=None))
        for buffer in function.params
    ]


class ConvBuffers(NamedTuple):
    """The parameters of a `QuantizedConv2d`, in order."""

    data: tirx.Buffer
    weight: tirx.Buffer
    bias: tirx.Buffer
    multiplier: tirx.Buffer
    out: tirx.Buffer
