"""TVM's tensor intrinsics for x86, without half a minute for those of other processors.

The first `TuneContext` of a process, and its builder, import `tvm.s_tir.tensor_intrin`, which
registers intrinsics for every backend; CUDA's alone take half a minute. No kernel here uses them.
"""

import importlib
import sys
from types import ModuleType

PACKAGE = "tvm.s_tir.tensor_intrin"
BACKENDS = ("arm_cpu", "cuda", "hexagon", "riscv_cpu", "rocm")
"""The modules of `PACKAGE` that are left out."""


def import_x86_intrinsics() -> None:
    """Import `PACKAGE`, unless it is loaded, with empty modules in the places of `BACKENDS`.

    They are gone afterwards, so a later import of one of them gets the real one.
    """
    if PACKAGE in sys.modules:
        return
    empty = {backend: ModuleType(f"{PACKAGE}.{backend}") for backend in BACKENDS}
    sys.modules.update({module.__name__: module for module in empty.values()})
    try:
        package = importlib.import_module(PACKAGE)
    finally:
        for module in empty.values():
            del sys.modules[module.__name__]
    for backend in empty:
        delattr(package, backend)
