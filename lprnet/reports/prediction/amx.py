"""Estimates a plate's time on a Xeon with AMX from what each part of a kernel cost on one.

No instruction is modelled here. Convolutions on tiles follow `schedules/amx/conv_tiles.py`. For
pools and for the last layer in integers the cost of a value or of a cache line is that of kernels
in C on the same core with the same loads, products and stores, for the rest that of our VNNI code,
which they share; average pools of bfloat16 have the bytes of those and were not measured.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lprnet.compiler.lower import lower, weights_of
from lprnet.compiler.targets import AMX, AMX_BF16, Target
from lprnet.compression.variants import prepare
from relay_passes.dataflow import Dataflow
from schedules.amx.conv_tiles import choose_tiles, cycles
from schedules.apply import kernels
from schedules.average_pools import Pool, pool_tile
from schedules.pools import CACHE_LINE
from schedules.workloads.bfloat16 import Bf16Normalise, Bf16TileConv2d
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, GroupChannels, QuantizedConv2d
from schedules.workloads.stack_rows import StackRows
from schedules.workloads.tile_conv import TileConv2d
from schedules.workloads.weights_only import WeightOnlyConv2d
from schedules.workloads.window_sums import SumConv, SumPool
from schedules.workloads.workload import Workload

GHZ = 3.5
"""Clock of that core while its tiles multiply."""
BETWEEN = 0.36
"""Microseconds that a convolution takes longer in a network than alone: 5 for 14 of them. The
pipeline fills and drains, tiles are configured, caches are colder.
"""
PYTHON = 8.0
"""Microseconds of a call from Python."""
POOLED = {"uint8": 80e3, "uint16": 40e3}
"""Values that average pools load in a microsecond: what kernels in C with sums in 16 bits took for
bytes. The second-level cache limits them; our instructions alone would load 120e3 and 56e3.
"""
LINE_READ, LINE_WRITTEN = 0.32e-3, 1.0e-3
"""Microseconds of a max pool for each cache line that it reads and writes: this gives 1.23, 1.36
and 0.29 for three kernels in C that took 1.22, 1.35 and 0.28.
"""
PART_OF_A_LINE = 1.1
"""How much longer it takes with vectors of half a line: our VNNI code took 1.35 and 0.33 us where
those in C took 1.22 and 0.28.
"""
FLOAT_MACS, INT8_MACS = 65e3, 200e3
"""Multiply-accumulates of small convolutions by vectors in a microsecond."""
SUM_MACS = 140e3
"""The same of window sums of 16 bits, in C."""
PIXELS = 6.6e3
"""Pixels grouped or normalised in a microsecond."""

ROWS: tuple[tuple[str, str | None, Target, dict[str, float]], ...] = (
    ("static", "structured", AMX, {"our VNNI code": 115}),
    ("static", None, AMX, {"our VNNI code": 144}),
    ("bf16", None, AMX_BF16, {"our float32": 493, "OpenVINO in bf16, same graph": 413}),
    ("bf16", "structured", AMX_BF16, {"our float32": 245, "OpenVINO in bf16, same graph": 286}),
)
"""Flags of a build, its code, and the microseconds that others took on that core from Python, in
one run and in turns, the least times. Ours was the state of November 2026, before code for AMX.
"""


@dataclass(frozen=True)
class KernelTime:
    """A kernel and its calls for one plate."""

    kernel: str
    microseconds: float
    """Of all its calls."""
    tiles: bool


@dataclass(frozen=True)
class AmxEstimate:
    """One variant on that core."""

    variant: str
    kernels: tuple[KernelTime, ...]
    convolutions: float
    """Microseconds on tiles."""
    others: float
    between: float
    plate: float
    """All of them, and a call from Python."""
    measured: dict[str, float]
    """As in `ROWS`."""


def predict_amx(checkpoint: Path, calibration: Path | None) -> list[AmxEstimate]:
    """An estimate for each of `ROWS`; on any CPU."""
    return [_estimate(checkpoint, calibration, *row) for row in ROWS]


def microseconds(workload: Workload) -> float:
    """Of one call of a kernel. Raises `ValueError` for one that no network of `ROWS` has."""
    match workload:
        case TileConv2d() | Bf16TileConv2d():
            return sum(cycles(group, workload) for group in choose_tiles(workload)) / GHZ / 1000
        case MaxPool():
            return _compared(workload)
        case SumConv():
            return workload.macs / SUM_MACS
        case DequantizedAveragePool() | AveragePool() | SumPool():
            return _loaded(workload) / POOLED[getattr(workload, "dtype", "uint8")]
        case QuantizedConv2d():
            return workload.macs / INT8_MACS
        case Conv2d() | WeightOnlyConv2d():
            return workload.macs / FLOAT_MACS
        case GroupChannels() | StackRows() | Bf16Normalise():
            return workload.height * workload.width / PIXELS
    raise ValueError(f"no time is known for {workload.name}")


def _compared(workload: MaxPool) -> float:
    """Microseconds of a max pool, by the cache lines of its input and of its output."""
    pixel = workload.channels * np.dtype(workload.dtype).itemsize
    lines = pixel / CACHE_LINE
    rows, columns, _ = workload.read_shape
    read = rows * columns * lines
    written = workload.height * workload.width * lines
    time = read * LINE_READ + written * LINE_WRITTEN
    return time if pixel % CACHE_LINE == 0 else time * PART_OF_A_LINE


def _loaded(workload: Pool) -> int:
    """Values that an average pool loads: windows share the strips of columns that they have in
    common (`schedules/average_pools.py`).
    """
    tile = pool_tile(workload, AMX.isa)
    steps = workload.stride[1] // tile.columns if tile.strips > 1 else 1
    strips = (workload.width - 1) * steps + tile.strips
    columns = strips * tile.columns
    return workload.height * workload.kernel[0] * columns * workload.channels


def _estimate(
    checkpoint: Path,
    calibration: Path | None,
    quantized: str,
    pruned: str | None,
    target: Target,
    measured: dict[str, float],
) -> AmxEstimate:
    network, *_ = prepare(checkpoint, calibration, quantized, pruned)
    with weights_of(checkpoint):
        module = lower(network, target.isa)
    calls = Dataflow(module["main"]).kernel_calls()
    found = []
    for variable, workload in kernels(module):
        name = str(variable.name_hint)
        on_tiles = isinstance(workload, TileConv2d | Bf16TileConv2d)
        found.append(KernelTime(name, calls[name] * microseconds(workload), on_tiles))
    convolutions = sum(one.microseconds for one in found if one.tiles)
    others = sum(one.microseconds for one in found if not one.tiles)
    between = BETWEEN * sum(calls[one.kernel] for one in found if one.tiles)
    plate = convolutions + others + between + PYTHON
    parts = (convolutions, others, between, plate)
    return AmxEstimate(network.variant, tuple(found), *parts, measured)
