"""Weights stored sparse come back bit for bit, on each instruction set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.compiler.targets import Target
from schedules.workloads.match import match
from schedules.workloads.sparse_weights import LANES, ExpandWeight, pack_nonzeros
from tests.schedules.kernel_runner import TARGETS, run


def random(seed: int, density: float, *shape: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal(shape).astype("float32")
    return np.where(rng.random(shape) < density, dense, np.float32(0))


def check(weight: NDArray[np.float32], target: Target) -> None:
    values, masks = pack_nonzeros(weight)
    assert len(values) == np.count_nonzero(weight) + LANES
    assert masks.nbytes == weight.size // LANES
    workload = ExpandWeight(len(values) - LANES, *weight.shape)
    np.testing.assert_array_equal(run(workload, target, values, masks), weight)


@pytest.mark.parametrize("target", TARGETS)
@given(
    seed=st.integers(0, 2**31),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    channels=st.integers(1, 9),
    vectors=st.integers(1, 4),
)
@settings(max_examples=6, derandomize=True)
def test_what_is_packed_comes_back(
    target: Target, seed: int, density: float, channels: int, vectors: int
) -> None:
    check(random(seed, density, 2, 3, 1, channels, 8 * vectors), target)


@pytest.mark.parametrize("target", TARGETS)
def test_one_weight_and_none(target: Target) -> None:
    weight = np.zeros((1, 1, 3, 5, 16), np.float32)
    check(weight, target)
    weight[0, 0, 2, 4, 15] = np.float32("nan")
    check(weight, target)


def test_it_is_recognised_by_structure() -> None:
    workload = ExpandWeight(77, 2, 3, 1, 5, 32)
    assert match(workload.prim_func()) == workload
