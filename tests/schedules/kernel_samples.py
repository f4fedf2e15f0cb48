"""One small kernel of each family, and one that is none of ours."""

import tvm
from tvm import te

from schedules.isa import Isa
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from schedules.workloads.normalisation import Divide, MeanSquare, Normalise
from schedules.workloads.weights_only import WeightOnlyConv2d
from schedules.workloads.workload import Workload
from tests.schedules.kernel_runner import packed_for

CONVOLUTION = Conv2d(4, 12, 8, 3, 1, 32, 16)


def workloads(isa: Isa) -> list[Workload]:
    lanes = isa.float_lanes
    return [
        packed_for(CONVOLUTION, isa),
        packed_for(QuantizedConv2d(4, 12, 8, 1, 3, 32, 16, 255), isa),
        MaxPool(4, 12, 2, lanes),
        MaxPool(4, 12, 1, lanes, "uint8"),
        MaxPool(4, 1, 1, lanes),
        MaxPool(3, 12, 2, lanes, "uint8", row_stride=2),
        MaxPool(6, 12, 2, lanes, "uint8", row_repeat=2),
        AveragePool(2, 4, lanes, (5, 5), (5, 5)),
        DequantizedAveragePool(2, 4, lanes, (4, 10), (4, 2), 0.1),
        Normalise(4, 12, 3, 127.5, 1 / 128),
        GroupChannels(4, 12, 3),
        LookUp(4, 12, 3),
        MeanSquare(4, 12, lanes, 0.1),
        Divide(4, 12, lanes),
        DequantizeWeight(2, 3, 1, 8, lanes),
        packed_for(WeightOnlyConv2d(1, 18, 8, 1, 1, 68, 16), isa),
    ]


def as_module(kernels: list[Workload]) -> tvm.IRModule:
    return tvm.IRModule({kernel.name: kernel.prim_func() for kernel in kernels})


def foreign_module() -> tvm.IRModule:
    """Its kernel `doubled` is none of ours."""
    data = te.placeholder((4, 6, 8), name="data")
    doubled = te.compute(data.shape, lambda *i: data[i] * 2.0, "out")
    module = as_module([CONVOLUTION])
    module["doubled"] = te.create_prim_func([data, doubled])
    return module
