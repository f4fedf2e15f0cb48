"""Estimates the cycles of one plate on other Xeons, kernel by kernel.

A kernel's cycles are summed over its basic blocks: how often a block runs (`block_counts.py`) times
its cycles on LLVM's model of the core (`llvm_mca.py`). For comparison, the same code is timed on
this machine, in cycles of a clock that is derived from its FMA throughput.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tqdm import tqdm

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.lower import lower, weights_of
from lprnet.compiler.targets import Target, find_target, require_cpu
from lprnet.compression.variants import prepare
from lprnet.measure.peak_throughput import RESERVED_REGISTERS, STEPS, fma_loop
from lprnet.measure.timing import on_one_core
from lprnet.reports.prediction.block_counts import Block, count_blocks
from lprnet.reports.prediction.llvm_mca import (
    Operands,
    Timing,
    mca_version,
    peak,
    products,
    time_blocks,
)
from lprnet.reports.prediction.results import (
    FMAS_A_CYCLE,
    Estimate,
    KernelEstimate,
    Loop,
    Prediction,
)
from lprnet.runtime.cpu import cpu_name
from lprnet.support.scratch_folder import scratch_folder
from lprnet.tuning.measurement.kernel_timing import ENTRY, random_inputs
from relay_passes.dataflow import Dataflow
from schedules.apply import apply

CORES = {
    "broadwell": ("broadwell", "broadwell"),
    "skylake-avx512": ("skylake-avx512", "skylake-avx512"),
    "cascadelake": ("cascadelake", "cascadelake"),
    "icelake-server": ("cascadelake", "cascadelake"),
    "sapphirerapids": ("cascadelake", "cascadelake"),
}
"""CPU to the target of the portable artifact that it runs, and LLVM's core that it is modelled by.

LLVM describes Ice Lake and Sapphire Rapids like their client parts, with one unit for 512-bit FMAs;
their Xeons have two. Cascade Lake's core has two, but is older and narrower.
"""
TIMED_BATCHES = 200
"""Enough that some are undisturbed: other tenants slow this machine for tens of milliseconds."""


@dataclass(frozen=True)
class _TimedKernel:
    """A compiled kernel, its block counts and its time on this machine."""

    name: str
    calls: int
    macs: int
    blocks: tuple[Block, ...]
    seconds: float


def predict(checkpoint: Path, calibration: Path | None) -> Prediction:
    """Estimates for every CPU of `CORES`, in float32 and in static int8.

    Raises `UserError` without llvm-mca, and on a CPU that cannot run the code of all targets.
    """
    mca = mca_version()
    targets = [find_target(name) for name in dict.fromkeys(name for name, _ in CORES.values())]
    require_cpu(targets[-1], "loops are counted by running them, so predict on a machine that can")
    estimates = []
    with on_one_core():
        for quantized, operands in ((None, Operands.FLOAT32), ("static", Operands.INT8)):
            compiled = [
                (_clock(targets[-1]), *_compile(checkpoint, calibration, quantized, target))
                for target in targets
            ]
            for target, (clock, variant, kernels) in zip(targets, compiled, strict=True):
                estimates += [
                    _estimate(variant, operands, cpu, target, model, kernels, clock)
                    for cpu, (name, model) in CORES.items()
                    if name == target.name
                ]
    return Prediction(mca, cpu_name(), tuple(estimates))


def _clock(target: Target) -> float:
    """This machine's clock in Hz, from a loop of independent FMAs."""
    library = generate(fma_loop(target.isa), tvm_target(target)).jit()
    shape = (target.isa.registers - RESERVED_REGISTERS, target.isa.float_lanes)
    tensors = [tvm.runtime.tensor(np.zeros(extents, np.float32)) for extents in ((2,), shape)]
    timer = library.time_evaluator("main", tvm.cpu(), number=10, repeat=2 * TIMED_BATCHES)
    fastest = min(timer(*tensors).results)
    return STEPS * shape[0] / FMAS_A_CYCLE / float(fastest)


def _compile(
    checkpoint: Path, calibration: Path | None, quantized: str | None, target: Target
) -> tuple[str, list[_TimedKernel]]:
    """A variant's name and its kernels, each compiled alone, counted and timed."""
    network, *_ = prepare(checkpoint, calibration, quantized)
    with weights_of(checkpoint):
        lowered = lower(network, target.isa)
    module, reports = apply(lowered, target.isa)
    calls = Dataflow(module["main"]).kernel_calls()
    kernels = []
    title = f"{network.variant}, {target.name}"
    with scratch_folder() as folder:
        bar = tqdm(reports, desc=title, unit="kernel", delay=3, disable=None)
        for number, report in enumerate(bar):
            function = module[report.kernel].with_attr("global_symbol", ENTRY)
            code = generate(tvm.IRModule({ENTRY: function}), tvm_target(target))
            *_, out = function.params
            blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
            tensors = [tvm.runtime.tensor(array) for array in (*random_inputs(function), blank)]
            scratch = folder / str(number)
            scratch.mkdir()
            blocks = count_blocks(code.mod.inspect_source("s"), tensors, scratch)
            timer = code.jit().time_evaluator(ENTRY, tvm.cpu(), number=5, repeat=TIMED_BATCHES)
            seconds = float(min(timer(*tensors).results))
            kernel = (report.kernel, calls[report.kernel], report.macs)
            kernels.append(_TimedKernel(*kernel, tuple(blocks), seconds))
    return network.variant, kernels


def _estimate(
    variant: str,
    operands: Operands,
    cpu: str,
    target: Target,
    model: str,
    kernels: list[_TimedKernel],
    clock: float,
) -> Estimate:
    peaks = {one: peak(target.isa, one, model) for one in (operands, Operands.INT16)}
    estimates = tuple(
        _estimate_kernel(kernel, target, operands, model, peaks, clock) for kernel in kernels
    )
    return Estimate(
        variant,
        cpu,
        target.name,
        model,
        peaks[operands],
        estimates,
        sum(one.cycles * one.calls for one in estimates),
        sum(one.measured * one.calls for one in estimates),
        clock / 1e9,
    )


def _estimate_kernel(
    kernel: _TimedKernel,
    target: Target,
    operands: Operands,
    model: str,
    peaks: Mapping[Operands, float],
    clock: float,
) -> KernelEstimate:
    timings = time_blocks([block.instructions for block in kernel.blocks], model)
    timed = list(zip(kernel.blocks, timings, strict=True))
    counts = [products(block, target.isa, operands) for block in kernel.blocks]
    if operands is Operands.INT8 and not any(counts):
        operands = Operands.INT16
        counts = [products(block, target.isa, operands) for block in kernel.blocks]
    best = peaks[operands]
    cycles = sum(block.runs * timing.cycles for block, timing in timed)
    multiplied = sum(block.runs * count for block, count in zip(kernel.blocks, counts, strict=True))
    hot: list[tuple[float, Timing, int]] = [
        (block.runs * timing.cycles, timing, count)
        for (block, timing), count in zip(timed, counts, strict=True)
        if count
    ]
    loop = None
    if hot and kernel.macs:
        _, timing, count = max(hot, key=lambda one: one[0])
        loop = Loop(timing.cycles, count, count / timing.cycles / best, timing.limit)
    return KernelEstimate(
        kernel.name,
        kernel.calls,
        kernel.macs,
        cycles,
        multiplied / cycles / best,
        loop,
        kernel.seconds * clock,
    )
