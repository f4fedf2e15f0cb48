"""One log serves networks of several weights: equal kernels are tuned once."""

from dataclasses import replace

import pytest
import tvm_ffi

from lprnet.tuning.space.algorithms import (
    Tunable,
    Winograd,
    algorithms_of,
    canonical,
    match_winograd,
    reference_of,
)
from lprnet.tuning.space.tasks import (
    Task,
    kernel_module,
    kernel_name,
    shared_tasks,
    with_algorithms,
)
from schedules.isa import AVX2, AVX512
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, QuantizedConv2d

CONV = Conv2d(6, 10, 8, 3, 1, 16, 16)
POOL = AveragePool(1, 4, 16, (4, 2), (4, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CONV, replace(CONV, out_channels=11)),
        (QuantizedConv2d(3, 3, 4, 1, 1, 16, 8, 255), QuantizedConv2d(3, 3, 4, 1, 1, 9, 8, 255)),
        (
            QuantizedConv2d(3, 3, 4, 1, 1, 16, 8, 255),
            QuantizedConv2d(3, 3, 4, 1, 1, 16, 8, 127, True, True),
        ),
        (
            DequantizedAveragePool(1, 4, 16, (4, 2), (4, 2), 0.5),
            DequantizedAveragePool(1, 4, 16, (4, 2), (4, 2), 0.1),
        ),
        (Winograd(CONV, 2, AVX2), Winograd(replace(CONV, out_channels=11), 2, AVX2)),
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
        (CONV, Winograd(CONV, 2, AVX2)),
        (Winograd(CONV, 2, AVX2), Winograd(CONV, 3, AVX2)),
        (Winograd(CONV, 2, AVX2), Winograd(replace(CONV, relu=False), 2, AVX2)),
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


def test_convolutions_have_the_algorithms_that_divide_them() -> None:
    assert algorithms_of(CONV, AVX2) == [
        CONV,
        *(Winograd(CONV, outputs, AVX2) for outputs in (2, 3, 6)),
    ]
    assert algorithms_of(CONV, AVX512) == [CONV]  # fewer channels than a vector
    assert algorithms_of(POOL, AVX2) == [POOL]
    expanded = with_algorithms([Task("conv", CONV, 2), Task("pool", POOL, 1)], AVX2)
    assert [task.calls for task in expanded] == [2, 2, 2, 2, 1]
    assert {reference_of(task.workload) for task in expanded} == {CONV, POOL}


@pytest.mark.parametrize("relu", [True, False])
def test_a_winograd_convolution_is_recognised(relu: bool) -> None:
    algorithm = Winograd(replace(CONV, relu=relu), 3, AVX2)
    assert match_winograd(kernel_module(algorithm)["main"], AVX2) == algorithm
    assert match_winograd(kernel_module(CONV)["main"], AVX2) is None
    assert match_winograd(kernel_module(POOL)["main"], AVX2) is None
