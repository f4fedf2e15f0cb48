"""What worker processes need, imported once by the server they are forked from.

`tvm_ffi` imports torch where it is installed, which takes seconds and hundreds of megabytes that no
worker needs, so torch is made to look absent meanwhile.
"""

import sys

import lprnet.tuning  # noqa: F401  before TVM, see there

sys.modules["torch"] = None  # type: ignore[assignment]
import tvm.s_tir.tensor_intrin  # noqa: E402, F401

import lprnet.compiler.codegen  # noqa: E402, F401
import schedules.dot4_intrinsics  # noqa: E402, F401

del sys.modules["torch"]
