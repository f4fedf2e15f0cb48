"""All workloads, as a type and as a list."""

from typing import get_args

from schedules.workloads.bfloat16 import Bf16Normalise, Bf16TileConv2d
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from schedules.workloads.normalisation import Divide, MeanSquare, Normalise
from schedules.workloads.sparse_weights import ExpandWeight
from schedules.workloads.stack_rows import StackRows
from schedules.workloads.tile_conv import TileConv2d
from schedules.workloads.weights_only import WeightOnlyConv2d
from schedules.workloads.window_sums import SumConv, SumPool

LoopNest = (
    Conv2d
    | Normalise
    | MeanSquare
    | Divide
    | QuantizedConv2d
    | GroupChannels
    | LookUp
    | DequantizeWeight
    | WeightOnlyConv2d
    | ExpandWeight
    | Bf16Normalise
)
"""Workloads whose definition a schedule transforms."""
Workload = (
    LoopNest
    | MaxPool
    | AveragePool
    | DequantizedAveragePool
    | SumPool
    | SumConv
    | TileConv2d
    | Bf16TileConv2d
    | StackRows
)
"""And those whose kernels are emitted instruction by instruction."""
WORKLOADS: tuple[type[Workload], ...] = get_args(Workload)
