"""The imports of worker processes, done once by the server that they are forked from.

`tvm_ffi` imports torch if it is installed. That takes seconds and hundreds of megabytes that no
worker needs, so torch is hidden meanwhile.
"""

import sys

import lprnet.tuning  # noqa: F401  before TVM, see there

sys.modules["torch"] = None  # type: ignore[assignment]
import tvm.s_tir.tensor_intrin  # noqa: E402, F401

import lprnet.compiler.codegen  # noqa: E402, F401
import schedules.dot4_intrinsics  # noqa: E402, F401

del sys.modules["torch"]
