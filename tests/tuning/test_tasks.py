"""One log serves networks of several weights: equal kernels are tuned once."""

from dataclasses import replace

import pytest
import tvm_ffi

from lprnet.tuning.space import Tunable
from lprnet.tuning.tasks import Task, canonical, kernel_module, kernel_name, shared_tasks
from schedules.integer_workloads import DequantizedAveragePool, QuantizedConv2d
from schedules.workloads import AveragePool, Conv2d, MaxPool

CONV = Conv2d(6, 10, 8, 3, 1, 16, 16)
POOL = AveragePool(1, 4, 16, (4, 2), (4, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CONV, replace(CONV, out_channels=11)),
        (QuantizedConv2d(3, 3, 4, 1, 1, 16, 8, 255), QuantizedConv2d(3, 3, 4, 1, 1, 9, 8, 255)),
        (
            DequantizedAveragePool(1, 4, 16, (4, 2), (4, 2), 0.5),
            DequantizedAveragePool(1, 4, 16, (4, 2), (4, 2), 0.1),
        ),
    ],
)
def test_what_code_does_not_depend_on(one: Tunable, other: Tunable) -> None:
    assert kernel_name(one) == kernel_name(other)
    assert tvm_ffi.structural_equal(kernel_module(one), kernel_module(other))
    assert canonical(canonical(one)) == canonical(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CONV, replace(CONV, relu=False)),
        (CONV, replace(CONV, out_channels=32)),
        (CONV, replace(CONV, out_channels=32, block=32)),
        (replace(CONV, out_channels=32), replace(CONV, out_channels=32, block=32)),
        (POOL, replace(POOL, stride=(4, 1))),
        (MaxPool(4, 6, 2, 16), MaxPool(4, 6, 2, 16, "uint8")),
        (
            QuantizedConv2d(3, 3, 4, 1, 1, 16, 8, 255),
            QuantizedConv2d(3, 3, 4, 1, 1, 16, 8, 127),
        ),
    ],
)
def test_what_code_depends_on(one: Tunable, other: Tunable) -> None:
    assert kernel_name(one) != kernel_name(other)


def test_networks_share_equal_kernels() -> None:
    first = [Task("conv", CONV, 2), Task("pool", POOL, 1)]
    second = [Task("a", replace(CONV, out_channels=11), 3), Task("b", replace(CONV, relu=False), 1)]
    conv, pool, linear = shared_tasks([first, second])
    assert conv == Task(kernel_name(CONV), CONV, 5)
    assert pool == Task(kernel_name(POOL), POOL, 1)
    assert linear == Task(kernel_name(second[1].workload), replace(CONV, relu=False), 1)
    assert shared_tasks([[conv, pool, linear]]) == [conv, pool, linear]
