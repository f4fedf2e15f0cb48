"""Importing the tuner changes nothing in a process, and loading intrinsics fakes nothing."""

import subprocess
import sys


def python(program: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240
    )
    return result.stdout


UNCHANGED = """
import os, pkgutil, signal, sys, warnings
import cv2, matplotlib.figure, onnx, onnx_ir, rich.table, torch
import tvm.s_tir.meta_schedule, tvm.testing

def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    cores = os.sched_getaffinity(0)
    return dict(os.environ), list(warnings.filters), handlers, cores, matplotlib.get_backend()

before, modules = state(), dict(sys.modules)
import lprnet.tuning
for module in pkgutil.walk_packages(lprnet.tuning.__path__, "lprnet.tuning."):
    if not module.name.endswith("worker_preload"):  # for the server of worker processes alone
        __import__(module.name)
assert state() == before
assert all(sys.modules[name] is module for name, module in modules.items())
new = [sys.modules[name] for name in sys.modules.keys() - modules.keys() if name[:3] == "tvm"]
assert all(module.__spec__ is not None for module in new)
"""


def test_importing_the_package_changes_nothing() -> None:
    """A module of TVM's without a spec would be one put in its place by hand."""
    assert python(UNCHANGED) == ""


LOADED = """
import sys
from lprnet.tuning.measurement.intrinsics import BACKENDS, PACKAGE, import_x86_intrinsics
import_x86_intrinsics()
import_x86_intrinsics()
import tvm
print(tvm.s_tir.TensorIntrin.get("dot_16x4_vnni") is not None)
print([name for name in BACKENDS if f"{PACKAGE}.{name}" in sys.modules])
print([name for name in BACKENDS if hasattr(sys.modules[PACKAGE], name)])
import tvm.s_tir.tensor_intrin.riscv_cpu as real
print(real.__file__.endswith("riscv_cpu.py"))
"""


def test_only_those_of_x86_are_loaded_and_others_can_be() -> None:
    assert python(LOADED).split() == ["True", "[]", "[]", "True"]
