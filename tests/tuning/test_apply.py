"""Schedules of every origin; `auto` and `hybrid` are built from real logs in the tuner's tests."""

import pytest
import tvm

from lprnet.tuning.apply import apply
from schedules import apply as by_hand
from schedules.apply import UnscheduledKernel
from schedules.isa import AVX2
from tests.schedules.kernel_samples import as_module, foreign_module, workloads
from tests.tuning.conftest import TARGET


def test_manual_is_by_hand() -> None:
    module = as_module(workloads(AVX2))
    (expected, reports), (got, same) = by_hand.apply(module, AVX2), apply(module, TARGET, "manual")
    tvm.ir.assert_structural_equal(got, expected)
    assert same == reports


def test_none_leaves_every_kernel_as_it_was_and_says_so() -> None:
    before = as_module(workloads(AVX2))
    after, reports = apply(before, TARGET, "none")
    tvm.ir.assert_structural_equal(after, before)
    assert {(report.origin, report.tile) for report in reports} == {("none", "unscheduled")}


@pytest.mark.parametrize("origin", ["manual", "none"])
def test_a_foreign_kernel_is_refused_by_name(origin: str) -> None:
    with pytest.raises(UnscheduledKernel, match="doubled"):
        apply(foreign_module(), TARGET, origin)
