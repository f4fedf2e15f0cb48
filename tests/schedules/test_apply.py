"""Schedules as a whole: every kernel gets one, the report says which, a foreign one is refused."""

from pathlib import Path

import pytest
import tvm
import tvm_ffi

from schedules.apply import UnscheduledKernel, apply, conv2d_tile, schedule
from schedules.isa import AVX2, AVX512, AVX512_VNNI, Isa
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import (
    QuantizedConv2d,
)
from tests.schedules.kernel_runner import packed_for
from tests.schedules.kernel_samples import CONVOLUTION, as_module, foreign_module, workloads

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


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


def test_a_foreign_kernel_is_refused_by_name() -> None:
    with pytest.raises(UnscheduledKernel, match="doubled"):
        apply(foreign_module(), AVX2)


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
