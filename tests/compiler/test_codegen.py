"""Generated code, seen from outside: no symbol of TVM's runtime, and right numbers."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import s_tir, te

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import find_target


def _squares_through(scope: str, extent: int) -> tvm.IRModule:
    data = te.placeholder((4, extent), name="data")
    square = te.compute(data.shape, lambda i, j: data[i, j] * data[i, j], name="square")
    out = te.compute(data.shape, lambda i, j: square[i, j] + 1.0, name="out")
    schedule = s_tir.Schedule(te.create_prim_func([data, out]))
    block = schedule.get_sblock("square")
    schedule.compute_at(block, schedule.get_loops(schedule.get_sblock("out"))[0])
    schedule.set_scope(block, 0, scope)
    return schedule.mod


@pytest.mark.parametrize("extent", [1, 8, 1024])
def test_local_buffers_need_no_runtime(tmp_path: Path, extent: int) -> None:
    target = tvm_target(find_target("native"))
    artifact = tmp_path / "squares.so"
    generate(_squares_through("local", extent), target).export_library(str(artifact))
    symbols = subprocess.run(["nm", artifact], capture_output=True, text=True, check=True).stdout
    assert "TVMFFI" in symbols
    assert "TVMBackend" not in symbols

    data = np.random.default_rng(0).standard_normal((4, extent)).astype("float32")
    arguments = [tvm.runtime.tensor(array) for array in (data, np.zeros_like(data))]
    tvm.runtime.load_module(str(artifact))["main"](*arguments)
    np.testing.assert_allclose(arguments[1].numpy(), data * data + 1, rtol=1e-6)


def test_other_buffers_are_left_alone(tmp_path: Path) -> None:
    target = tvm_target(find_target("native"))
    artifact = tmp_path / "squares.so"
    generate(_squares_through("global", 1024), target).export_library(str(artifact))
    symbols = subprocess.run(["nm", artifact], capture_output=True, text=True, check=True).stdout
    assert "TVMBackendAllocWorkspace" in symbols
