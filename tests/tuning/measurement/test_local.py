"""The builder and the runner: a bad candidate does not affect the others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import s_tir
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.codegen import tvm_target
from lprnet.tuning.measurement.kernel_timing import (
    Example,
    WrongResult,
    check,
    load_example,
    random_inputs,
)
from lprnet.tuning.measurement.local import LocalMeasurer
from lprnet.tuning.space.tasks import kernel_module
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import QuantizedConv2d
from tests.tuning.conftest import TARGET

WORKLOAD = Conv2d(8, 10, 8, 1, 1, 8, 8, relu=False)


@pytest.fixture(scope="module")
def measurer() -> Iterator[LocalMeasurer]:
    with LocalMeasurer() as local:
        yield local


def scheduled() -> tvm.IRModule:
    schedule = s_tir.Schedule(kernel_module(WORKLOAD))
    acc, out = schedule.get_sblock("acc"), schedule.get_sblock("out")
    schedule.compute_at(acc, schedule.get_loops(out)[1])
    schedule.set_scope(acc, 0, "local")
    return schedule.mod


def build(measurer: LocalMeasurer, *modules: tvm.IRModule) -> list[ms.builder.BuilderResult]:
    target = tvm_target(TARGET)
    return list(measurer.builder.build([ms.builder.BuilderInput(m, target) for m in modules]))


def test_build_errors_stay_where_they_are(measurer: LocalMeasurer) -> None:
    threaded = s_tir.Schedule(scheduled())
    threaded.parallel(threaded.get_loops(threaded.get_sblock("out"))[0])
    good, bad, also_good = build(measurer, scheduled(), threaded.mod, kernel_module(WORKLOAD))
    assert Path(str(good.artifact_path)).is_file()
    assert Path(str(also_good.artifact_path)).is_file()
    assert bad.artifact_path is None
    assert "starts threads" in str(bad.error_msg)


def test_results_are_checked_before_they_are_timed(measurer: LocalMeasurer, tmp_path: Path) -> None:
    (built,) = build(measurer, scheduled())
    inputs = random_inputs(scheduled()["main"])
    data, weight, bias = inputs
    right = np.einsum("hwc,cv->hwv", data, weight[0, 0, 0]) + bias
    paths = [tmp_path / "right.npz", tmp_path / "wrong.npz"]
    Example(inputs, right).save(paths[0])
    Example(inputs, right + 1).save(paths[1])
    entry = ms.runner.RunnerInput(built.artifact_path, "cpu", [])
    missing = ms.runner.RunnerInput("/nowhere.so", "cpu", [])
    good, bad = [f.result() for f in measurer.runner(paths[0]).run([entry, missing])]
    assert 0 < float(good.run_secs[0]) < 1
    assert bad.run_secs is None
    (wrong,) = [f.result() for f in measurer.runner(paths[1]).run([entry])]
    assert wrong.run_secs is None
    assert str(wrong.error_msg).startswith("WrongResult: differs")


def test_check() -> None:
    floats = np.array([1.0, 1000.0], "float32")
    check(floats + 0.01, floats)
    with pytest.raises(WrongResult):
        check(floats + 1, floats)
    with pytest.raises(WrongResult):
        check(np.array([np.nan, 1000.0], "float32"), floats)
    bytes_ = np.array([0, 255], "uint8")
    check(bytes_, bytes_)
    with pytest.raises(WrongResult):
        check(np.array([0, 254], "uint8"), bytes_)


def test_example_round_trip(tmp_path: Path) -> None:
    function = QuantizedConv2d(3, 3, 4, 1, 1, 8, 8, 127).prim_func()
    inputs = random_inputs(function)
    assert [str(values.dtype) for values in inputs] == ["uint8", "int8", "int32", "float32"]
    assert int(inputs[0].max()) <= 127
    example = Example(inputs, np.zeros(3, "uint8"))
    example.save(tmp_path / "example.npz")
    loaded = load_example(tmp_path / "example.npz")
    pairs = zip((*inputs, example.expected), (*loaded.inputs, loaded.expected), strict=True)
    for before, after in pairs:
        np.testing.assert_array_equal(before, after)
