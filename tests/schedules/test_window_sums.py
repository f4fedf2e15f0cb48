"""Window sums of 16 bits and the convolution of them, against exact arithmetic."""

from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lprnet.compiler.targets import Target
from schedules.isa import AVX2, AVX512_VNNI
from schedules.sum_conv import positions_at_once
from schedules.workloads.match import match
from schedules.workloads.window_sums import SumConv, SumPool
from tests.schedules.kernel_runner import TARGETS, call, run

few = settings(max_examples=8, derandomize=True, deadline=None)
LPRNET = SumConv(1, 18, (32, 80, 32, 48), 68, 80)


@pytest.mark.parametrize("target", TARGETS)
@few
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 18), st.integers(2, 100)),
    kernel=st.sampled_from([(20, 5), (16, 10), (4, 1), (257, 1), (3, 7)]),
    strides=st.tuples(st.integers(1, 5), st.integers(1, 12)),
    lowest=st.sampled_from([0, 255]),
)
def test_any_window_sum(
    target: Target,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    lowest: int,
) -> None:
    """`lowest` 255: the largest sums that there are."""
    pool = SumPool(*shape, kernel, strides)
    rows, columns = (
        (extent - 1) * step + size
        for extent, step, size in zip(shape[:2], strides, kernel, strict=True)
    )
    values = np.random.default_rng(0).integers(lowest, 256, (rows, columns, shape[2]), "uint8")
    windows = sliding_window_view(values.astype("int64"), kernel, (0, 1))
    sums = windows[:: strides[0], :: strides[1]].sum((3, 4))
    np.testing.assert_array_equal(run(pool, target, values).astype("int64") + 2**15, sums)


def operands(workload: SumConv, seed: int) -> tuple[list[NDArray[np.generic]], NDArray[np.float32]]:
    """The kernel's arguments, and its logits: exact sums, and each of few float operations rounded
    once, as fractions.
    """
    rng = np.random.default_rng(seed)
    sums = rng.integers(0, 2**16, (workload.height, workload.width, workload.channels))
    sums[0, 0] = 2**16 - 1
    weight = rng.integers(-127, 128, (workload.out_channels, workload.channels))
    weight[0], weight[-1] = 127, -127
    bias = rng.normal(size=workload.out_channels).astype("float32")
    kinds = (len(workload.contexts), workload.out_channels)
    multiplier = rng.uniform(1e-6, 1e-4, kinds).astype("float32")
    parts = list(pairwise(accumulate(workload.contexts, initial=0)))
    taken = np.stack([weight[:, a:b].sum(1) * 2**15 for a, b in parts])
    exact = np.stack([sums[..., a:b] @ weight[:, a:b].T for a, b in parts])
    logits = np.empty(exact.shape[1:], "float32")
    for h, w, o in np.ndindex(logits.shape):
        total = bias[o]
        for k in range(len(parts)):
            product = Fraction(float(np.float32(exact[k, h, w, o])))
            total = rounded(product * Fraction(float(multiplier[k, o])) + Fraction(float(total)))
        logits[h, w, o] = total
    flat = weight.T.reshape(-1, 2, workload.out_channels).swapaxes(1, 2).ravel()
    padding = workload.block - workload.out_channels
    arguments: list[NDArray[np.generic]] = [
        (sums - 2**15).astype("int16"),
        np.pad(flat, (0, workload.elements - len(flat))).astype("int8"),
        np.pad(taken, ((0, 0), (0, padding))).astype("int32"),
        np.pad(multiplier, ((0, 0), (0, padding))),
        np.pad(bias, (0, padding)),
    ]
    return arguments, logits


def rounded(value: Fraction) -> np.float32:
    """The nearest float32: of the neighbours of an approximation the one that is closest."""
    near = np.float32(float(value))
    below, above = (np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf))
    closest: np.float32 = min(
        (below, near, above), key=lambda one: abs(Fraction(float(one)) - value)
    )
    return closest


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("extents", "contexts", "out_channels"),
    [((1, 18), (32, 80, 32, 48), 68), ((2, 5), (2,), 3), ((1, 33), (6, 10), 17)],
    ids=str,
)
def test_logits_have_the_same_bits_on_every_cpu(
    target: Target, extents: tuple[int, int], contexts: tuple[int, ...], out_channels: int
) -> None:
    lanes = target.isa.float_lanes
    block = -(-out_channels // lanes) * lanes
    workload = SumConv(*extents, contexts, out_channels, block)
    arguments, logits = operands(workload, 0)
    found = run(workload, target, *arguments)
    np.testing.assert_array_equal(found[..., :out_channels], logits)
    assert not found[..., out_channels:].any()
    np.testing.assert_array_equal(call(workload.prim_func(), target, *arguments), found)


@pytest.mark.parametrize(
    "workload", [LPRNET, SumPool(1, 18, 80, (20, 5), (20, 5))], ids=lambda one: one.name
)
def test_a_kernel_is_recognised(workload: SumConv | SumPool) -> None:
    assert match(workload.prim_func()) == workload


def test_positions_are_cut_evenly() -> None:
    assert [positions_at_once(width, AVX512_VNNI) for width in (18, 28, 29, 60)] == [18, 28, 15, 20]
    assert positions_at_once(18, AVX2) == 9
