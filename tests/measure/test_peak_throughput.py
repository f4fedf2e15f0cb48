"""The loops that stand for what a core can do: they compute, and as much as they say."""

from pathlib import Path

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import Target
from lprnet.measure.peak_throughput import STEPS, dot2_loop, dot4_loop, operations
from lprnet.reports.prediction.block_counts import count_blocks
from lprnet.reports.prediction.llvm_mca import Operands, products
from schedules.isa import Dot4
from tests.schedules.kernel_runner import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_the_integer_loop_sums_products_of_bytes(target: Target, tmp_path: Path) -> None:
    """And as many as it says: none is computed once for many accumulators or steps."""
    isa, module = target.isa, dot4_loop(target.isa)
    factor, out = module["main"].params
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, [int(extent) for extent in factor.shape]).astype("int8")
    tensors = [
        tvm.runtime.tensor(x),
        tvm.runtime.tensor(np.zeros([int(extent) for extent in out.shape], "int32")),
    ]
    assembly = generate(module, tvm_target(target)).mod.inspect_source("s")
    blocks = count_blocks(assembly, tensors, tmp_path)
    operands = Operands.INT8
    counted = sum(block.runs * products(block, isa, operands) for block in blocks)
    assert 2 * 4 * isa.float_lanes * counted == operations(module)

    groups: NDArray[np.int64] = x.astype("int64").reshape(len(x), isa.float_lanes, 4)
    if isa.dot4 is Dot4.AVX512_VNNI:
        expected = np.tile(STEPS * (groups * groups).sum(2), (int(out.shape[0]), 1))
    else:
        numbers = np.arange(STEPS, dtype="<i4").view("uint8").reshape(-1, 4)
        expected = groups @ numbers.sum(0, dtype="int64")
    np.testing.assert_array_equal(tensors[1].numpy(), expected)


@pytest.mark.parametrize("target", TARGETS)
def test_the_word_loop_sums_products_of_words(target: Target, tmp_path: Path) -> None:
    isa, module = target.isa, dot2_loop(target.isa)
    factor, out = module["main"].params
    rng = np.random.default_rng(1)
    x = rng.integers(-4, 5, [int(extent) for extent in factor.shape]).astype("int16")
    tensors = [
        tvm.runtime.tensor(x),
        tvm.runtime.tensor(np.zeros([int(extent) for extent in out.shape], "int32")),
    ]
    assembly = generate(module, tvm_target(target)).mod.inspect_source("s")
    blocks = count_blocks(assembly, tensors, tmp_path)
    instruction = "vpdpwssd" if isa.dot4 is Dot4.AVX512_VNNI else "vpmaddwd"
    counted = sum(
        block.runs * sum(line.startswith(instruction) for line in block.instructions)
        for block in blocks
    )
    assert 2 * 2 * isa.float_lanes * counted == operations(module)

    groups: NDArray[np.int64] = x.astype("int64").reshape(len(x), isa.float_lanes, 2)
    numbers = np.arange(STEPS, dtype="<i4").view("int16").reshape(-1, 2)
    np.testing.assert_array_equal(tensors[1].numpy(), groups @ numbers.sum(0, dtype="int64"))
