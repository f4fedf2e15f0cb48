"""Schedules as a whole: every kernel gets one, the report says which, a foreign one is refused."""

from pathlib import Path

import pytest
import tvm
import tvm_ffi
from tvm import te

from lprnet.compiler.targets import AVX2, AVX512, AVX512_VNNI, Isa
from schedules.apply import UnscheduledKernel, apply, conv2d_tile, schedule
from schedules.workloads.float import (
    AveragePool,
    Conv2d,
    Divide,
    MaxPool,
    MeanSquare,
    Normalise,
    Workload,
)
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from schedules.workloads.weights_only import WeightOnlyConv2d
from tests.schedules.kernel_runner import packed_for

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CONVOLUTION = Conv2d(4, 12, 8, 3, 1, 32, 16)


def workloads(isa: Isa) -> list[Workload]:
    lanes = isa.float_lanes
    return [
        packed_for(CONVOLUTION, isa),
        packed_for(QuantizedConv2d(4, 12, 8, 1, 3, 32, 16, 255), isa),
        MaxPool(4, 12, 2, lanes),
        MaxPool(4, 12, 1, lanes, "uint8"),
        AveragePool(2, 4, lanes, (5, 5), (5, 5)),
        DequantizedAveragePool(2, 4, lanes, (4, 10), (4, 2), 0.1),
        Normalise(4, 12, 3),
        GroupChannels(4, 12, 3),
        LookUp(4, 12, 3),
        MeanSquare(4, 12, lanes, 0.1),
        Divide(4, 12, lanes),
        DequantizeWeight(2, 3, 1, 8, lanes),
        packed_for(WeightOnlyConv2d(1, 18, 8, 1, 1, 68, 16), isa),
    ]


def as_module(kernels: list[Workload]) -> tvm.IRModule:
    return tvm.IRModule({kernel.name: kernel.prim_func() for kernel in kernels})


@pytest.mark.parametrize("isa", [AVX2, AVX512, AVX512_VNNI], ids=lambda isa: isa.name)
def test_the_report_names_each_kernel_once_with_its_tile(isa: Isa) -> None:
    kernels = workloads(isa)
    before = as_module(kernels)
    after, reports = apply(before, isa)
    assert {report.kernel: report.macs for report in reports} == {
        kernel.name: kernel.macs for kernel in kernels
    }
    assert len(reports) == len(kernels)
    assert {report.origin for report in reports} == {"manual"}
    convolution = packed_for(CONVOLUTION, isa)
    (tile,) = (report.tile for report in reports if report.kernel == convolution.name)
    assert tile == str(conv2d_tile(convolution, isa))
    for kernel in kernels:
        assert not tvm_ffi.structural_equal(before[kernel.name], after[kernel.name]), kernel


def test_origin_none_leaves_every_kernel_as_it_was_and_says_so() -> None:
    before = as_module(workloads(AVX2))
    after, reports = apply(before, AVX2, "none")
    tvm.ir.assert_structural_equal(after, before)
    assert {(report.origin, report.tile) for report in reports} == {("none", "unscheduled")}


@pytest.mark.parametrize("origin", ["manual", "none"])
def test_a_foreign_kernel_is_refused_by_name(origin: str) -> None:
    data = te.placeholder((4, 6, 8), name="data")
    doubled = te.compute(data.shape, lambda *i: data[i] * 2.0, "out")
    module = as_module([Normalise(4, 12, 3)])
    module["doubled"] = te.create_prim_func([data, doubled])
    with pytest.raises(UnscheduledKernel, match="doubled"):
        apply(module, AVX2, origin)


def test_the_module_given_is_not_changed() -> None:
    kernels = workloads(AVX2)
    given = as_module(kernels)
    apply(given, AVX2)
    tvm.ir.assert_structural_equal(given, as_module(kernels))


@pytest.mark.parametrize(
    ("name", "workload", "isa"),
    [
        ("conv3x1_avx2", CONVOLUTION, AVX2),
        ("qconv3x1_vnni", QuantizedConv2d(4, 12, 8, 3, 1, 32, 32, 255), AVX512_VNNI),
    ],
)
def test_golden_schedules(name: str, workload: Conv2d | QuantizedConv2d, isa: Isa) -> None:
    """The whole scheduled function as it was reviewed. A wanted change is written anew with
    `sch.mod["main"].script()`, and its difference is what to review.
    """
    assert packed_for(workload, isa) == workload
    scheduled, _ = schedule(workload, isa)
    golden = tvm.script.from_source((GOLDEN / f"{name}.tir").read_text())
    tvm.ir.assert_structural_equal(scheduled, golden)
