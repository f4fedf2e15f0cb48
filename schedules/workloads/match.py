"""Recognises the workload of a PrimFunc by its structure.

Each class of workloads names the ones that the function's signature allows (`candidates`). A
candidate's PrimFunc is built again and compared; without a structurally equal one the answer is
None.
"""

import tvm_ffi
from tvm import tirx

from schedules.workloads.signature import signature_of
from schedules.workloads.workload import WORKLOADS, Workload


def match(function: tirx.PrimFunc) -> Workload | None:
    """The workload that `function` computes, or None if it is no workload of this package."""
    signature = signature_of(function)
    if signature is None:
        return None
    anonymous = function.without_attr("global_symbol")
    for workloads in WORKLOADS:
        for candidate in workloads.candidates(signature):
            rebuilt = candidate.prim_func().without_attr("global_symbol")
            if tvm_ffi.structural_equal(rebuilt, anonymous):
                return candidate
    return None
