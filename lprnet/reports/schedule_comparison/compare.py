"""`lprnet compare`'s work: every schedule of every kernel against the machine's peak."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.codegen import tvm_target
from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.lower import lower, weights_of
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import Target, find_target, require_cpu
from lprnet.compression.variants import prepare, variant_name
from lprnet.measure.peak_throughput import dot2_loop, dot4_loop, fma_loop, operations
from lprnet.measure.timing import Record, interleaved_timings, on_one_core, record
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.scratch_folder import scratch_folder
from lprnet.tuning import LOGS
from lprnet.tuning.apply import ORIGINS, apply, scheduler
from lprnet.tuning.fastest_build import compile_fastest
from lprnet.tuning.log.nearest import open_nearest_log
from lprnet.tuning.measurement.compare_kernels import MIN_SPEEDUP, Candidates, time_interleaved
from lprnet.tuning.space.algorithms import Tunable
from lprnet.tuning.space.describe_trace import ConvDecisions, decisions_of
from lprnet.tuning.space.tasks import Task, find_tasks
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import QuantizedConv2d

CHECKED_IMAGES = 8
"""Images that each of the four builds is checked on; the unscheduled one is slow."""
BUILD_ROUNDS = 60
TIMED = ("none", "auto", "manual")
"""Schedules timed for each kernel; `hybrid` is one of the last two."""


@dataclass(frozen=True)
class ComparisonOptions:
    """What the user asked for."""

    checkpoint: Path
    calibration: Path | None
    quantized: str | None
    pruned: str | None
    target: str
    logs: Path = LOGS


@dataclass(frozen=True)
class KernelTimes:
    """One kernel under every schedule. Times in seconds, minima of interleaved rounds."""

    task: Task
    seconds: dict[str, float]
    """By origin: `none`, `auto`, `manual`, `hybrid`."""
    samples: dict[str, list[float]]
    """By origin, one a round."""
    differences: tuple[str, ...]
    """How the automatic schedule differs from the manual one."""

    @property
    def integer(self) -> bool:
        """Whether it multiplies int8, not float32."""
        return isinstance(self.task.workload, QuantizedConv2d)

    def gflops(self, origin: str) -> float:
        """Billions of multiplications and additions a second."""
        return 2 * self.task.workload.macs / self.seconds[origin] / 1e9


@dataclass(frozen=True)
class Comparison:
    """Everything that was measured."""

    variant: str
    target: str
    tuned_for: str
    """The target of the tuning log."""
    peak_gflops: float
    """Of one core, by float32 FMAs on registers."""
    int8_peak_gops: float
    """Of one core, by dot products of four int8 on registers."""
    int16_peak_gops: float
    """Of one core, by dot products of two int16 on registers (`vpmaddwd`)."""
    kernels: tuple[KernelTimes, ...]
    end_to_end: tuple[Record, ...]
    """Of whole builds, one an origin."""
    kernel_records: tuple[Record, ...]
    """One a kernel and origin."""

    def share(self, kernel: KernelTimes, origin: str) -> float:
        """Share of the peak in `kernel`'s own arithmetic, measured in the same run."""
        peak = self.int8_peak_gops if kernel.integer else self.peak_gflops
        return kernel.gflops(origin) / peak

    def share_of_int16_peak(self, kernel: KernelTimes, origin: str) -> float | None:
        """Share of the peak of `vpmaddwd`; None if `kernel` multiplies float32."""
        return kernel.gflops(origin) / self.int16_peak_gops if kernel.integer else None


@subnormals_as_zero()
def compare_schedules(request: ComparisonOptions) -> Comparison:
    """Time all schedules of what `request` names, on one core of this machine.

    Raises `UserError` for every user error.
    """
    target = find_target(request.target)
    require_cpu(target, "compare schedules on a machine that can")
    what = (request.quantized, request.pruned)
    log = open_nearest_log(request.logs, target, variant_name(request.checkpoint, None, *what))
    network, images, _ = prepare(request.checkpoint, request.calibration, *what)
    with weights_of(request.checkpoint):
        lowered = lower(network, target.isa)
    tasks = find_tasks(lowered)
    applied = {name: apply(lowered, target, name, log) for name in TIMED}
    by_hand = {report.kernel: report.tile for report in applied["manual"][1]}

    loops = [loop(target.isa) for loop in (fma_loop, dot4_loop, dot2_loop)]
    comparisons: list[Candidates] = [
        {name: tvm.IRModule({"main": applied[name][0][task.kernel]}) for name in TIMED}
        for task in tasks
    ]
    timed = time_interleaved(
        [*({"peak": loop} for loop in loops), *comparisons], tvm_target(target)
    )
    gflops, int8_gops, int16_gops = (
        operations(loop) / min(samples["peak"]) / 1e9
        for loop, samples in zip(loops, timed, strict=False)
    )
    times = timed[len(loops) :]
    kernels = tuple(
        kernel_times(task, samples, *log.record(task.kernel, task.workload), by_hand[task.kernel])
        for task, samples in zip(tasks, times, strict=True)
    )
    plates = _time_builds(network, request, target, images[:CHECKED_IMAGES])
    end_to_end = [
        record(
            samples,
            variant=network.variant,
            engine=f"lprnet, {origin} schedules",
            isa=target.name,
            batch=1,
        )
        for origin, samples in plates.items()
    ]
    kernel_records = []
    for kernel in kernels:
        for origin in TIMED:
            kernel_records.append(
                record(
                    np.array(kernel.samples[origin]) * 1e3,
                    variant=network.variant,
                    engine=f"lprnet, {kernel.task.kernel}, {origin} schedule",
                    isa=target.name,
                    batch=1,
                    warm_up=1,
                    calls_before=0,
                )
            )
    return Comparison(
        variant=network.variant,
        target=target.name,
        tuned_for=log.manifest.target,
        peak_gflops=gflops,
        int8_peak_gops=int8_gops,
        int16_peak_gops=int16_gops,
        kernels=kernels,
        end_to_end=tuple(end_to_end),
        kernel_records=tuple(kernel_records),
    )


def kernel_times(
    task: Task,
    samples: dict[str, list[float]],
    algorithm: Tunable,
    record: ms.database.TuningRecord,
    by_hand: str,
) -> KernelTimes:
    """One kernel from its `samples`, seconds of each round by origin.

    `algorithm` and `record` are those of the automatic schedule, `by_hand` is the tile of the
    manual one.
    """
    seconds = {name: min(times) for name, times in samples.items()}
    wins = seconds["manual"] > MIN_SPEEDUP * seconds["auto"]
    seconds["hybrid"] = seconds["auto" if wins else "manual"]
    chosen = decisions_of(record.trace, algorithm)
    differences: tuple[str, ...] = ()
    if isinstance(chosen, ConvDecisions) and isinstance(algorithm, Conv2d | QuantizedConv2d):
        differences = tuple(chosen.differences(by_hand, algorithm.blocks))
    elif str(chosen) != by_hand:
        differences = (f"takes {chosen} instead of {by_hand}",)
    return KernelTimes(task, seconds, samples, differences)


def _time_builds(
    network: CompilerInput, request: ComparisonOptions, target: Target, images: NDArray[np.uint8]
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds a plate of the four builds, interleaved, by origin."""
    with scratch_folder() as folder:
        readers = {}
        for origin in ORIGINS:
            what = (network, (target,), Source(request.checkpoint, ()), images)
            artifact = folder / f"{origin}.so"
            if origin == "hybrid":
                compile_fastest(*what, artifact, request.logs)
            else:
                compile_network(*what, artifact, scheduler(origin, network.variant, request.logs))
            readers[origin] = Recognizer(artifact)
        with on_one_core():
            return interleaved_timings(
                {origin: partial(reader.logits, images[:1]) for origin, reader in readers.items()},
                BUILD_ROUNDS,
            )
