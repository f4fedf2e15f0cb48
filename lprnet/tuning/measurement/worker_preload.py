"""The imports of worker processes, done once by the server that they are forked from.

`tvm_ffi` imports torch if it is installed. That takes seconds and hundreds of megabytes that no
worker needs, so torch is hidden meanwhile.
"""

import sys

sys.modules["torch"] = None  # type: ignore[assignment]
import lprnet.compiler.codegen  # noqa: E402, F401
import schedules.dot4_intrinsics  # noqa: E402, F401
from lprnet.tuning.measurement.intrinsics import import_x86_intrinsics  # noqa: E402

import_x86_intrinsics()

del sys.modules["torch"]
