"""Integer Winograd kernels on operands as networks have them, against NumPy."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from lprnet.compiler.targets import Target
from schedules.workloads.integer import QuantizedConv2d
from tests.schedules.kernel_runner import call, packed_for
from tests.schedules.test_integer_kernels import Integers, requantized, sums

Run = Callable[[Integers, Integers, Integers, NDArray[np.float32]], NDArray[np.uint8]]
"""Data HWC, weight OIHW, bias and multiplier of the output channels to these."""


def packed(workload: QuantizedConv2d, target: Target) -> QuantizedConv2d:
    """As `packed_for`."""
    found = packed_for(workload, target.isa)
    assert isinstance(found, QuantizedConv2d)
    return found


def run_integer_kernel(
    function: tirx.PrimFunc,
    workload: QuantizedConv2d,
    target: Target,
    data: Integers,
    weight: Integers,
    bias: Integers,
    multiplier: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """The output channels of `workload`'s kernel `function`; the lanes that pad the last vector
    must be zero. `weight` is OIHW.
    """
    out_channels, channels, height, width = weight.shape
    padded = workload.blocks * workload.block
    rows = np.zeros((padded, channels, height, width), "int8")
    rows[:out_channels] = weight
    groups = rows.reshape(workload.blocks, workload.block, channels // 4, 4, height, width)
    ordered = np.ascontiguousarray(groups.transpose(0, 4, 5, 2, 1, 3))
    biases, multipliers = np.zeros(padded, "int32"), np.zeros(padded, "float32")
    biases[:out_channels], multipliers[:out_channels] = bias, multiplier
    got = call(function, target, data.astype("uint8"), ordered, biases, multipliers)
    assert not got[..., out_channels:].any()
    return got[..., :out_channels].astype("uint8")


def data_shape(workload: QuantizedConv2d) -> tuple[int, ...]:
    """Of its input, from its output and its filter."""
    rows = workload.height + workload.kernel_height - 1
    return rows, workload.width + workload.kernel_width - 1, workload.channels


def weight_shape(workload: QuantizedConv2d) -> tuple[int, ...]:
    """OIHW."""
    kernel = (workload.kernel_height, workload.kernel_width)
    return (workload.out_channels, workload.channels, *kernel)


def check_requantized(
    run: Run, qmax: int, data: Integers, weight: Integers, rng: np.random.Generator
) -> None:
    """`run` gives the bytes of the definition, at random biases and multipliers that use most of
    0 to `qmax`.
    """
    bias = rng.integers(-20_000, 20_000, len(weight))
    total = sums(data, weight) + bias
    scale = rng.uniform(0.3, 2, len(weight)) * qmax / abs(total).max()
    multiplier = scale.astype("float32")
    got = run(data, weight, bias, multiplier)
    np.testing.assert_array_equal(got, requantized(total, multiplier, qmax))
