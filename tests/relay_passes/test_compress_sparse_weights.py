import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx

from relay_passes.compress_sparse_weights import MAX_SHARE, MIN_SAVED_BYTES, CompressSparseWeights
from schedules.workloads.float import Conv2d
from schedules.workloads.sparse_weights import LANES, ExpandWeight, pack_nonzeros
from tests.relax_networks import apply

CHANNELS = 12
WORKLOAD = Conv2d(6, 5, CHANNELS, 3, 1, 16, 16)
SHAPE = (1, 3, 1, CHANNELS, 16)
BIAS = relax.const(np.zeros(16, np.float32))


def weight(density: float) -> NDArray[np.float32]:
    count = round(density * np.prod(SHAPE))
    values = np.zeros(int(np.prod(SHAPE)), np.float32)
    values[np.random.default_rng(0).permutation(len(values))[:count]] = 1.5
    return values.reshape(SHAPE)


def lowered(values: NDArray[np.float32], sparse: bool) -> tvm.IRModule:
    """One convolution on `values`, which are constants or come from the expanding kernel."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((8, 5, CHANNELS), "float32"))
    with builder.function("main", [x]):
        convolution = builder.add_func(WORKLOAD.prim_func(), WORKLOAD.name)
        with builder.dataflow():
            operand: relax.Expr = relax.const(values)
            if sparse:
                nonzeros, masks = pack_nonzeros(values)
                workload = ExpandWeight(len(nonzeros) - LANES, *SHAPE)
                expand = builder.add_func(workload.prim_func(), workload.name)
                constants = [relax.const(nonzeros), relax.const(masks)]
                operand = builder.emit(
                    relax.call_tir(expand, constants, relax.TensorType(SHAPE, "float32"))
                )
            out = relax.TensorType((6, 5, 16), "float32")
            called = relax.call_tir(convolution, [x, operand, BIAS], out)
            output = builder.emit_output(builder.emit(called))
        builder.emit_func_output(output)
    return builder.get()


def test_sparse_weights_are_expanded_by_a_kernel_of_constants() -> None:
    values = weight(0.4)
    found = apply(CompressSparseWeights(), lowered(values, sparse=False))
    tvm.ir.assert_structural_equal(found["main"], lowered(values, sparse=True)["main"], True)
    kernels = [f for f in found.functions.values() if isinstance(f, tirx.PrimFunc)]
    assert len(kernels) == 2


@pytest.mark.parametrize("density", [MAX_SHARE, 0.6, 1.0])
def test_what_saves_little_is_left_alone(density: float) -> None:
    """A share of 0.6 and its masks are small enough, but save less than a kilobyte."""
    whole = weight(0.6).nbytes
    assert whole - MIN_SAVED_BYTES < (0.6 + 1 / 32) * whole < MAX_SHARE * whole
    before = lowered(weight(density), sparse=False)
    tvm.ir.assert_structural_equal(apply(CompressSparseWeights(), before), before)


def test_a_layer_without_weights_keeps_a_mask_of_zeros() -> None:
    found = apply(CompressSparseWeights(), lowered(weight(0), sparse=False))
    tvm.ir.assert_structural_equal(found, lowered(weight(0), sparse=True), True)
