"""The float convolution by int8 weights against NumPy in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from lprnet.compiler.targets import Target
from schedules.workloads.weights_only import WeightOnlyConv2d
from tests.schedules.kernel_runner import TARGETS, packed_for, run


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=8, derandomize=True)
@given(
    height=st.integers(1, 3),
    width=st.sampled_from([1, 5, 18]),
    channels=st.integers(1, 20),
    kernel=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    out_channels=st.integers(1, 70),
    seed=st.integers(0, 1000),
)
def test_any_convolution(
    target: Target,
    height: int,
    width: int,
    channels: int,
    kernel: tuple[int, int],
    out_channels: int,
    seed: int,
) -> None:
    """Lanes beyond the output channels, which read other channels' weights, are zero."""
    rng = np.random.default_rng(seed)
    shape = (height, width, channels, *kernel, out_channels)
    workload = packed_for(WeightOnlyConv2d(*shape, 8), target.isa)
    assert isinstance(workload, WeightOnlyConv2d)
    padded = workload.blocks * workload.block
    data = rng.normal(0, 1, (height + kernel[0] - 1, width + kernel[1] - 1, channels))
    data = data.astype("float32")
    weight = rng.integers(-127, 128, (*kernel, channels, out_channels)).astype("int8")
    scale = np.zeros(padded, "float32")
    bias = np.zeros(padded, "float32")
    scale[:out_channels] = rng.uniform(1e-3, 1, out_channels)
    bias[:out_channels] = rng.normal(0, 1, out_channels)
    stored = np.zeros(workload.elements, "int8")
    stored[: weight.size] = weight.reshape(-1)

    windows = sliding_window_view(data.astype("float64"), kernel, (0, 1))
    sums = np.einsum("hwcij,ijco->hwo", windows, weight)
    expected = sums * scale[:out_channels] + bias[:out_channels]
    got = run(workload, target, data, stored, scale, bias).astype("float64")
    np.testing.assert_allclose(got[..., :out_channels], expected, rtol=1e-5, atol=1e-3)
    assert not got[..., out_channels:].any()


def test_no_weight_is_stored_for_a_padding_lane() -> None:
    """But for the last vector's: 192 rows of 80 would be 2292 more."""
    assert WeightOnlyConv2d(1, 18, 192, 1, 1, 68, 16).elements == 192 * 68 + 12
    assert WeightOnlyConv2d(1, 18, 192, 1, 1, 64, 16).elements == 192 * 64
