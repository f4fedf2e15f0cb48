"""Compile one workload for one target under its hand-written schedule, and call it."""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import tirx

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import Target, find_target
from schedules.apply import conv2d_tile, schedule
from schedules.isa import Isa
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import QuantizedConv2d
from schedules.workloads.weights_only import WeightOnlyConv2d
from schedules.workloads.workload import Workload

Values = NDArray[np.generic]

TARGETS = [
    pytest.param(find_target(name), marks=pytest.mark.isa(name), id=name)
    for name in ("broadwell", "skylake-avx512", "cascadelake")
]
"""One target an instruction set: AVX2, AVX-512BW, AVX-512 VNNI."""


Convolution = Conv2d | QuantizedConv2d | WeightOnlyConv2d


def packed_for(workload: Convolution, isa: Isa) -> Convolution:
    """The same convolution with the weights' block that its tile on `isa` asks for."""
    return replace(workload, block=conv2d_tile(workload, isa).vectors * isa.float_lanes)


def run(workload: Workload, target: Target, *arguments: Values) -> Values:
    """The output of `workload`'s kernel on `arguments`, an array that held garbage before."""
    function, _ = schedule(workload, target.isa)
    return call(function, target, *arguments)


def call(function: tirx.PrimFunc, target: Target, *arguments: Values) -> Values:
    """What `function` writes into its last buffer, an array that held garbage before."""
    kernel = _compiled(function, target)
    *inputs, out = function.params
    for buffer, values in zip(inputs, arguments, strict=True):
        assert tuple(int(extent) for extent in buffer.shape) == values.shape
        assert str(buffer.dtype) == str(values.dtype)
    garbage = np.full([int(extent) for extent in out.shape], 85, str(out.dtype))
    tensors = [tvm.runtime.tensor(values) for values in (*arguments, garbage)]
    kernel(*tensors)
    result: Values = tensors[-1].numpy()
    return result


@functools.lru_cache(maxsize=1)
def _compiled(function: tirx.PrimFunc, target: Target) -> Callable[..., None]:
    kernel: Callable[..., None] = generate(tvm.IRModule({"main": function}), tvm_target(target))[
        "main"
    ]
    return kernel
