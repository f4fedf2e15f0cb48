"""`CompressSparseWeights`: weights with many zeros are stored without them."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, is_call
from schedules.workloads.sparse_weights import LANES, ExpandWeight, pack_nonzeros

MAX_SHARE = 2 / 3
"""Weights are stored sparse if that takes at most this share of their bytes. The zeros that pad the
vectors of an unpruned layer are too few for that.
"""
MIN_SAVED_BYTES = 1024
"""Expanding takes 0.2 to 0.3 KB of code and, of the smallest layers, 0.6 us a call."""


@tvm.transform.module_pass(opt_level=0, name="CompressSparseWeights")
class CompressSparseWeights:
    """Weights of which a third is zero are stored as their nonzeros and a bit mask::

        call_tir(conv2d, (x, W, b))  =>  call_tir(conv2d, (x, call_tir(expand, (values, masks)), b))

    The new kernel reads constants only, so it runs once a call, before the images. Precondition:
    a module lowered by `LowerToKernels`. Left alone: int8 weights, whose packed lanes are denser
    and a quarter of the size, and weights with too few zeros (`MAX_SHARE`, `MIN_SAVED_BYTES`).
    """

    def transform_module(
        self, module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> tvm.IRModule:
        """The module with sparse constants and one more PrimFunc for each shape of them."""
        builder = relax.BlockBuilder(module)

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if not is_call(value, "call_tir"):
                return None
            kernel, operands = value.args[0], list(value.args[1].fields)
            weights = [array(operand) for operand in operands]
            if not any(map(_worth_it, weights)):
                return None
            stored = [
                new(operand) if weight is None or not _worth_it(weight) else expand(weight)
                for operand, weight in zip(operands, weights, strict=True)
            ]
            return relax.call_tir(kernel, stored, value.ty_args[0])

        def expand(weight: np.ndarray) -> relax.Call:
            values, masks = pack_nonzeros(weight)
            workload = ExpandWeight(len(values) - LANES, *weight.shape)
            function = builder.add_func(workload.prim_func(), workload.name)
            constants = [relax.const(values), relax.const(masks)]
            return relax.call_tir(
                function, constants, relax.TensorType(list(weight.shape), "float32")
            )

        main = Dataflow(module["main"]).rebuild(rewrite)
        lowered = builder.get()
        lowered.update_func(lowered.get_global_var("main"), main)
        return lowered


def _worth_it(weight: np.ndarray | None) -> bool:
    """Whether packed float32 weights become small enough."""
    if weight is None or weight.ndim != 5 or weight.dtype != np.float32:
        return False
    stored = 4 * np.count_nonzero(weight) + weight.size // LANES
    return bool(stored <= min(MAX_SHARE * weight.nbytes, weight.nbytes - MIN_SAVED_BYTES))
