"""Times the kernels of the base build under every schedule, and measures the limits of one core."""

import numpy as np
import tvm

from lprnet.compiler.codegen import tvm_target
from lprnet.compiler.lower import lower
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import Target
from lprnet.measure.peak_throughput import fma_loop, operations
from lprnet.measure.timing import interleaved_timings
from lprnet.reports.benchmark.results import Kernel, Kernels
from lprnet.reports.benchmark.variants import Missing
from lprnet.support.errors import UserError
from lprnet.tuning import LOGS
from lprnet.tuning.apply import apply
from lprnet.tuning.log.nearest import open_nearest_log
from lprnet.tuning.measurement.compare_kernels import time_interleaved
from lprnet.tuning.space.tasks import find_tasks

CACHED_BYTES = 256 * 1024
"""A source and a destination of this size fit the L2 cache of any Xeon."""
COPIES = 2000


def time_kernels(network: CompilerInput, target: Target) -> tuple[Kernels, list[Missing]]:
    """Minima of interleaved rounds on one core; without `auto` if `network` has no tuning log."""
    lowered = lower(network, target.isa)
    scheduled = {origin: apply(lowered, target, origin)[0] for origin in ("none", "manual")}
    missing = []
    try:
        log = open_nearest_log(LOGS, target, network.variant)
        scheduled["auto"] = apply(lowered, target, "auto", log)[0]
    except UserError as error:
        missing.append(Missing("kernels, auto", str(error)))
    tasks = find_tasks(lowered)
    comparisons = [
        {
            origin: tvm.IRModule({"main": module[task.kernel]})
            for origin, module in scheduled.items()
        }
        for task in tasks
    ]
    loop = fma_loop(target.isa)
    peak, *times = time_interleaved([{"peak": loop}, *comparisons], tvm_target(target))
    kernels = tuple(
        Kernel(
            task.kernel,
            task.workload.macs,
            _operand_bytes(lowered[task.kernel]),
            {origin: min(samples) for origin, samples in rounds.items()},
        )
        for task, rounds in zip(tasks, times, strict=True)
    )
    return Kernels(operations(loop) / min(peak["peak"]), _bandwidth(), kernels), missing


def _operand_bytes(function: tvm.tirx.PrimFunc) -> int:
    """Size of all its buffers, each counted once."""
    return sum(
        int(np.prod([int(extent) for extent in buffer.shape]))
        * np.dtype(str(buffer.dtype)).itemsize
        for buffer in function.params
    )


def _bandwidth() -> float:
    """Bytes read and written a second by copies within the L2 cache of one core."""
    source = np.ones(CACHED_BYTES, np.uint8)
    target = np.empty_like(source)
    samples = interleaved_timings({"copy": lambda: np.copyto(target, source)}, COPIES, COPIES // 10)
    return 2 * CACHED_BYTES / (float(samples["copy"].min()) / 1e3)
