"""The image with the rows of a window stacked, and a convolution of it."""

import re

import numpy as np
import pytest
import tvm

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import AMX, find_target
from relay_passes.lowering.stacked_rows import stack_filter
from schedules.stack_rows import can_stack_rows, stack_rows
from schedules.workloads.match import match
from schedules.workloads.stack_rows import StackRows
from tests.schedules.amx.tile_model import on_any_cpu
from tests.schedules.kernel_runner import call
from tests.schedules.test_integer_kernels import sums

SHAPES = [(22, 94, 3, 3), (3, 22, 3, 3), (5, 37, 4, 2), (2, 64, 1, 3), (1, 43, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_of_a_window_are_channels(shape: tuple[int, int, int, int]) -> None:
    workload = StackRows(*shape)
    height, width, channels, rows = shape
    assert match(workload.prim_func()) == workload
    pixels = np.random.default_rng(0).integers(
        0, 256, (height + rows - 1, width, channels), "uint8"
    )
    host = find_target("broadwell")
    expected = np.concatenate([pixels[r : r + height] for r in range(rows)], axis=2)
    for function in (on_any_cpu(stack_rows(workload)), workload.prim_func()):
        found = call(function, host, pixels)
        np.testing.assert_array_equal(found[..., : rows * channels], expected)
        assert not found[..., rows * channels :].any()


def test_a_stacked_filter_computes_the_same() -> None:
    rng = np.random.default_rng(0)
    pixels, weight = rng.integers(0, 256, (9, 12, 3)), rng.integers(-128, 128, (5, 3, 3, 2))
    stacked = np.concatenate([pixels[r : r + 7] for r in range(3)], axis=2)
    np.testing.assert_array_equal(sums(stacked, stack_filter(weight)), sums(pixels, weight))


def test_images_too_narrow_for_a_vector() -> None:
    assert can_stack_rows(94, 3)
    assert not can_stack_rows(20, 3)
    assert not can_stack_rows(94, 5)


def test_one_permutation_a_row_and_vector() -> None:
    """And none of two operands, which is three operations on Intel's cores."""
    function = stack_rows(StackRows(22, 94, 3, 3))
    code = generate(tvm.IRModule({"main": function}), tvm_target(AMX)).mod
    assembly = str(code.inspect_source("asm"))
    assert len(re.findall("vpermb", assembly)) % 9 == 0
    assert "vpermb" in assembly
    assert "vpermi2b" not in assembly
    assert "vpermt2b" not in assembly
