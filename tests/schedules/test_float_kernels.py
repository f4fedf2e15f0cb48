"""Every float kernel under its schedule against NumPy in float64, on each instruction set."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lprnet.compiler.targets import Target
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.normalisation import Divide, MeanSquare, Normalise
from tests.schedules.kernel_runner import TARGETS, packed_for, run

Floats = NDArray[np.float64]

ROUND_OFF = 2.0**-24
"""Half a unit in the last place of float32, relative."""

few = settings(max_examples=6, derandomize=True)


def random(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def windows(x: Floats, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> Floats:
    """HWC to `(out H, out W, C, KH, KW)`."""
    view: Floats = sliding_window_view(x, kernel, (0, 1))[:: stride[0], :: stride[1]]
    return view


def check_conv2d(workload: Conv2d, target: Target, seed: int) -> None:
    """Any order of n + 1 terms errs by at most (n + 1) roundings of the sum of magnitudes
    (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1).
    """
    channels = workload.channels
    kernel = (workload.kernel_height, workload.kernel_width)
    data = random(seed, *workload.data_shape)
    weight = random(seed + 1, workload.out_channels, channels, *kernel)
    bias = random(seed + 2, workload.out_channels)
    packed = packed_for(workload, target.isa)
    assert isinstance(packed, Conv2d)

    padded = np.zeros((packed.blocks * packed.block, channels, *kernel), "float32")
    padded[: workload.out_channels] = weight
    blocks = [
        np.moveaxis(padded[start : start + packed.block], (0, 1), (3, 2))
        for start in range(0, len(padded), packed.block)
    ]
    biases = np.zeros(len(padded), "float32")
    biases[: workload.out_channels] = bias
    got = run(packed, target, data, np.ascontiguousarray(np.stack(blocks)), biases)

    x = windows(data.astype("float64"), kernel, (workload.row_stride, 1))
    exact = np.einsum("hwcij,ocij->hwo", x, weight.astype("float64")) + bias
    magnitude = np.einsum("hwcij,ocij->hwo", abs(x), abs(weight.astype("float64"))) + abs(bias)
    if workload.relu:
        exact = exact.clip(0)
    bound = (workload.window + 2) * ROUND_OFF * magnitude
    assert (abs(got[..., : workload.out_channels] - exact) <= bound).all()
    assert not got[..., workload.out_channels :].any(), "padding channels must stay zero"
    assert abs(got[..., : workload.out_channels] - exact).max() <= 1e-5 * abs(exact).max()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "workload",
    [
        Conv2d(22, 92, 3, 3, 3, 33, 8),
        Conv2d(20, 90, 32, 3, 1, 32, 8),
        Conv2d(18, 44, 64, 1, 3, 64, 8),
        Conv2d(16, 18, 22, 1, 4, 39, 8),
        Conv2d(4, 18, 39, 13, 1, 48, 8),
        Conv2d(1, 18, 246, 1, 1, 68, 8, relu=False),
    ],
    ids=lambda workload: workload.name,
)
def test_convolutions_of_lprnet(workload: Conv2d, target: Target) -> None:
    check_conv2d(workload, target, seed=0)


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 7),
    channels=st.integers(1, 9),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    out_channels=st.integers(1, 70),
    relu=st.booleans(),
    row_stride=st.integers(1, 3),
)
def test_any_convolution(
    target: Target,
    height: int,
    width: int,
    channels: int,
    kernel: tuple[int, int],
    out_channels: int,
    relu: bool,
    row_stride: int,
) -> None:
    row_stride = row_stride if height > 1 else 1
    shape = (height, width, channels, *kernel, out_channels)
    workload = Conv2d(*shape, 8, relu, row_stride=row_stride)
    check_conv2d(workload, target, seed=1)


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    height=st.integers(1, 4),
    width=st.integers(2, 46),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.integers(2, 40),
)
@example(height=2, width=1, stride=(1, 1), channels=5)
@example(height=5, width=9, stride=(2, 1), channels=20)
def test_max_pool_is_exact(
    target: Target, height: int, width: int, stride: tuple[int, int], channels: int
) -> None:
    row_stride = stride[0] if height > 1 else 1
    data = random(2, (height - 1) * row_stride + 3, (width - 1) * stride[1] + 3, channels)
    workload = MaxPool(height, width, stride[1], channels, row_stride=row_stride)
    got = run(workload, target, data)
    exact = windows(data.astype("float64"), (3, 3), stride).max((3, 4))
    np.testing.assert_array_equal(got, exact)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@few
@given(
    rows=st.integers(2, 6),
    width=st.integers(2, 46),
    stride=st.integers(1, 3),
    channels=st.integers(2, 80),
)
def test_a_max_pool_of_repeated_rows(
    target: Target, dtype: str, rows: int, width: int, stride: int, channels: int
) -> None:
    workload = MaxPool(2 * rows - 2, width, stride, channels, dtype, row_repeat=2)
    data = (random(3, *workload.read_shape) * 40 + 128).clip(0, 255).astype(dtype)
    got = run(workload, target, data)
    exact = windows(data.repeat(2, axis=0), (3, 3), (1, stride)).max((3, 4))
    np.testing.assert_array_equal(got, exact)


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 18), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 10)),
    stride=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_average_pool(
    target: Target,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
) -> None:
    height, width, vectors = shape
    channels = vectors * target.isa.float_lanes
    workload = AveragePool(height, width, channels, kernel, stride)
    rows, columns = (
        (extent - 1) * step + size
        for extent, step, size in zip((height, width), stride, kernel, strict=True)
    )
    data = random(3, rows, columns, channels)
    x = windows(data.astype("float64"), kernel, stride)
    exact, magnitude = x.mean((3, 4)), abs(x).mean((3, 4))
    bound = (kernel[0] * kernel[1] + 3) * ROUND_OFF * magnitude
    assert (abs(run(workload, target, data) - exact) <= bound).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(24, 94, 3), (1, 1, 1), (3, 5, 7)])
def test_normalise_is_exact_for_every_pixel_value(
    target: Target, shape: tuple[int, int, int]
) -> None:
    pixels = np.resize(np.arange(256, dtype="uint8"), shape)
    got = run(Normalise(*shape, 127.5, 1 / 128), target, pixels)
    np.testing.assert_array_equal(got, (pixels.astype("float64") - 127.5) / 128)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(1, 18, 48), (3, 5, 8), (4, 18, 256)])
def test_mean_square(target: Target, shape: tuple[int, int, int]) -> None:
    data = random(4, *shape)
    scale = 1 / 100
    exact = float(np.square(data.astype("float64")).sum()) * scale
    got = run(MeanSquare(*shape, scale), target, data)
    assert got.shape == (1, 1, 1)
    assert abs(float(got[0, 0, 0]) - exact) <= (data.size + 2) * ROUND_OFF * exact


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(1, 18, 48), (3, 5, 7)])
def test_divide_is_correctly_rounded(target: Target, shape: tuple[int, int, int]) -> None:
    data, divisor = random(5, *shape), np.full((1, 1, 1), 0.37, "float32")
    np.testing.assert_array_equal(run(Divide(*shape), target, data, divisor), data / divisor)
