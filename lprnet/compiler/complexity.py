"""Counts the multiply-accumulates and the parameters of a Relax graph."""

import math

import tvm

from relay_passes.dataflow import Dataflow, arguments, array, is_call, shape


def count_macs(module: tvm.IRModule) -> int:
    """Multiply-accumulates of every NCHW convolution in `main`, for the batch it was built for."""
    return sum(
        math.prod(shape(var)) * math.prod(shape(value.args[1])[1:])
        for var, value in Dataflow(module["main"]).values.items()
        if is_call(value, "nn.conv2d")
    )


def count_parameters(module: tvm.IRModule) -> int:
    """Elements of every float constant in `main`."""
    constants = (
        array(argument)
        for value in Dataflow(module["main"]).values.values()
        for argument in arguments(value)
    )
    return sum(c.size for c in constants if c is not None and c.dtype.kind == "f")
