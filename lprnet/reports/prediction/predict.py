"""What a plate should cost on Xeons that are not here: an estimate, kernel by kernel.

A kernel's cycles are the sum over its basic blocks of how often each runs
(`lprnet/reports/prediction/block_counts.py`) times the cycles that LLVM's model of the core takes
for it (`lprnet/reports/prediction/llvm_mca.py`). Beside them stands what the same code takes on
this machine, in cycles of a clock that its own FMA throughput tells.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tqdm import tqdm

from lprnet.build import prepare
from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.frontend import to_relax
from lprnet.compiler.targets import Target, cpu_flags, cpu_name, find_target
from lprnet.measure.peak_throughput import OPERANDS, STEPS, fma_loop
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
from lprnet.support.errors import UserError
from lprnet.tuning.measurement.kernel_timing import ENTRY, random_inputs
from relay_passes.dataflow import Dataflow, is_call
from relay_passes.pipeline import lower_graph, quantize_graph, reduce_graph
from schedules.apply import apply

CORES = {
    "broadwell": ("broadwell", "broadwell"),
    "skylake-avx512": ("skylake-avx512", "skylake-avx512"),
    "cascadelake": ("cascadelake", "cascadelake"),
    "icelake-server": ("cascadelake", "cascadelake"),
    "sapphirerapids": ("cascadelake", "cascadelake"),
}
"""For each CPU the code it runs, a target of the portable artifact, and the core it is modelled by.

LLVM describes Ice Lake and Sapphire Rapids as their client parts are, with one unit for 512-bit
FMAs, where their Xeons have two. Cascade Lake's core has two and is older and narrower than theirs.
"""
MAIN_MACS = 2_000_000
"""Of a main convolution, at least."""
FMAS_A_CYCLE = 2
"""Of every Xeon core in `CORES`, from which this machine's clock is told."""
BATCHES = 200
"""Of calls timed: other tenants slow this machine for tens of milliseconds at a time."""


@dataclass(frozen=True)
class Loop:
    """The innermost loop in which a kernel spends most of its cycles."""

    cycles: float
    """One iteration, as LLVM unrolled it."""
    products: int
    """Vector instructions in it that multiply and add."""
    share: float
    """Of the core's peak in these."""
    limit: str


@dataclass(frozen=True)
class KernelEstimate:
    """One kernel on one core."""

    kernel: str
    calls: int
    """A plate."""
    macs: int
    cycles: float
    """One call."""
    share: float
    """Of the core's peak, over the whole kernel."""
    loop: Loop | None
    """None where nothing multiplies."""
    measured: float
    """Cycles of the same code on this machine, the fastest of many calls."""

    @property
    def is_main(self) -> bool:
        """Whether it is one of the main convolutions."""
        return self.macs >= MAIN_MACS


@dataclass(frozen=True)
class Estimate:
    """One variant on one CPU."""

    variant: str
    cpu: str
    code: str
    model: str
    peak: float
    """Vector instructions that multiply and add, a cycle."""
    kernels: tuple[KernelEstimate, ...]
    cycles: float
    """All kernels of a plate."""
    measured: float
    """The same code on this machine."""
    host_ghz: float
    """This machine's clock then."""


@dataclass(frozen=True)
class Prediction:
    """All estimates, and where they were made."""

    mca: str
    host: str
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class _Kernel:
    """A compiled kernel that has run here."""

    name: str
    calls: int
    macs: int
    blocks: tuple[Block, ...]
    seconds: float


def predict(checkpoint: Path, calibration: Path | None) -> Prediction:
    """Every CPU of `CORES`, in float32 and in static int8.

    Raises `UserError` without llvm-mca, and on a CPU that cannot run all codes.
    """
    mca = mca_version()
    codes = [find_target(name) for name in dict.fromkeys(code for code, _ in CORES.values())]
    missing = sorted(set(codes[-1].flags) - cpu_flags())
    if missing:
        raise UserError(
            f"This CPU lacks {', '.join(missing)}, and how often loops run is counted by running "
            "them; predict on a machine that has them."
        )
    estimates = []
    with on_one_core():
        for quantized in (None, "static"):
            compiled = [
                (_clock(codes[-1]), *_compile(checkpoint, calibration, quantized, code))
                for code in codes
            ]
            for code, (clock, variant, kernels) in zip(codes, compiled, strict=True):
                estimates += [
                    _estimate(variant, cpu, code, model, kernels, clock)
                    for cpu, (name, model) in CORES.items()
                    if name == code.name
                ]
    return Prediction(mca, cpu_name(), tuple(estimates))


def _clock(target: Target) -> float:
    """Hz, from a loop of FMAs that wait for nothing."""
    library = generate(fma_loop(target.isa), tvm_target(target)).jit()
    shape = (target.isa.registers - OPERANDS, target.isa.float_lanes)
    tensors = [tvm.runtime.tensor(np.zeros(extents, np.float32)) for extents in ((2,), shape)]
    timer = library.time_evaluator("main", tvm.cpu(), number=10, repeat=2 * BATCHES)
    fastest = min(timer(*tensors).results)
    return STEPS * shape[0] / FMAS_A_CYCLE / float(fastest)


def _compile(
    checkpoint: Path, calibration: Path | None, quantized: str | None, target: Target
) -> tuple[str, list[_Kernel]]:
    """Every kernel of a variant, compiled alone, counted and timed."""
    network, *_ = prepare(checkpoint, calibration, quantized)
    graph = quantize_graph(reduce_graph(to_relax(network.model)), network.scales)
    module, reports = apply(lower_graph(graph, target.isa), target.isa)
    calls: dict[str, int] = {}
    for value in Dataflow(module["main"]).values.values():
        if is_call(value, "call_tir"):
            name = value.args[0].name_hint
            calls[name] = calls.get(name, 0) + 1
    kernels = []
    title = f"{network.variant}, {target.name}"
    with tempfile.TemporaryDirectory() as folder:
        for number, report in enumerate(tqdm(reports, desc=title, unit="kernel", delay=3)):
            function = module[report.kernel].with_attr("global_symbol", ENTRY)
            code = generate(tvm.IRModule({ENTRY: function}), tvm_target(target))
            *_, out = function.params
            blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
            tensors = [tvm.runtime.tensor(array) for array in (*random_inputs(function), blank)]
            scratch = Path(folder, str(number))
            scratch.mkdir()
            blocks = count_blocks(code.mod.inspect_source("s"), tensors, scratch)
            timer = code.jit().time_evaluator(ENTRY, tvm.cpu(), number=5, repeat=BATCHES)
            seconds = float(min(timer(*tensors).results))
            kernel = (report.kernel, calls[report.kernel], report.macs)
            kernels.append(_Kernel(*kernel, tuple(blocks), seconds))
    return network.variant, kernels


def _estimate(
    variant: str,
    cpu: str,
    code: Target,
    model: str,
    kernels: list[_Kernel],
    clock: float,
) -> Estimate:
    usual = Operands.BYTES if variant.startswith("int8") else Operands.FLOATS
    peaks = {operands: peak(code.isa, operands, model) for operands in (usual, Operands.WORDS)}
    estimates = tuple(_kernel(kernel, code, usual, model, peaks, clock) for kernel in kernels)
    return Estimate(
        variant,
        cpu,
        code.name,
        model,
        peaks[usual],
        estimates,
        sum(one.cycles * one.calls for one in estimates),
        sum(one.measured * one.calls for one in estimates),
        clock / 1e9,
    )


def _kernel(
    kernel: _Kernel,
    code: Target,
    operands: Operands,
    model: str,
    peaks: Mapping[Operands, float],
    clock: float,
) -> KernelEstimate:
    timings = time_blocks([block.instructions for block in kernel.blocks], model)
    timed = list(zip(kernel.blocks, timings, strict=True))
    counts = [products(block, code.isa, operands) for block in kernel.blocks]
    if operands is Operands.BYTES and not any(counts):
        operands = Operands.WORDS
        counts = [products(block, code.isa, operands) for block in kernel.blocks]
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
