"""Machine code of PrimFuncs that does not need TVM's runtime.

TVM 0.27 turns every local buffer, even of one register, into a call of `TVMBackendAllocWorkspace`.
That is a function of libtvm_runtime, which an artifact does not link, and LLVM cannot keep memory
from a heap in registers. So one pass is added to TVM's own.
"""

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline

from lprnet.compiler.targets import Target

PIPELINE = "lprnet"


OPTIMIZATION = 2
"""LLVM's level. 3 unrolls loops that the schedules do not unroll: a quarter more code, not faster.
"""


def tvm_target(target: Target) -> tvm.target.Target:
    """TVM's description of `target`, with one core, because the runtime handles threads."""
    return tvm.target.Target(
        {"kind": "llvm", "mcpu": target.mcpu, "num-cores": 1, "opt-level": OPTIMIZATION}
    )


def generate(module: tvm.IRModule, target: tvm.target.Target) -> tvm.runtime.Executable:
    """Machine code of a module of PrimFuncs; local buffers are in registers or on the stack."""
    return tvm.compile(module, target=target, tir_pipeline=PIPELINE)


@tirx.transform.prim_func_pass(opt_level=0, name="KeepLocalsOnStack")
class KeepLocalsOnStack:
    """Local buffers as LLVM allocas, which it promotes to registers::

        alloc_buffer(b, scope="local")  =>  the same, exempt from LowerTVMBuiltin
        alloc_buffer(b)                 =>  unchanged

    Precondition: TVM's lowering of a PrimFunc up to its host passes, so that extents are constants.
    """

    def transform_function(
        self, function: tirx.PrimFunc, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """`function` with its local allocations marked."""
        return function.with_body(
            tvm_ffi.structural_map(function.body, (tirx.AllocBuffer, _keep_on_stack))
        )


def _keep_on_stack(allocation: tirx.AllocBuffer) -> tirx.AllocBuffer:
    if allocation.buffer.scope() != "local":
        return allocation
    exempt = {"disable_lower_builtin": tirx.const(1, "bool")}
    return tirx.AllocBuffer(allocation.buffer, {**dict(allocation.annotations), **exempt})


def _pipeline() -> tuple[tvm.transform.Pass, object, object]:
    """TVM's pipeline for scheduled PrimFuncs with our pass at its end."""
    lower, finalize_host, finalize_device = default_s_tir_pipeline()
    passes = [lower, KeepLocalsOnStack()]
    return tvm.transform.Sequential(passes, name=PIPELINE), finalize_host, finalize_device


tirx.register_tir_pipeline(PIPELINE, _pipeline)
