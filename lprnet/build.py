"""`lprnet build`'s work: from a checkpoint to a verified, timed artifact."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.dump import dump_phases
from lprnet.compiler.network import LayerSummary
from lprnet.compiler.onnx_file import network_to_onnx
from lprnet.compiler.targets import Target, bf16_targets, find_targets, without_tiles
from lprnet.compiler.toolchain import check_compiler
from lprnet.compression.distill.distilled import Distill
from lprnet.compression.prune.kept_widths import Keep
from lprnet.compression.variants import prepare, variant_name
from lprnet.distillation.text_agreement import TextAgreement, compare_texts
from lprnet.measure.timing import Record, interleaved_timings, on_one_core, record
from lprnet.model.checkpoint import Stated
from lprnet.model.confidence_file import read_confidence
from lprnet.model.published_lprnet import reads_as_published
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import check_writable
from lprnet.support.errors import UserError
from lprnet.tuning.apply import TUNED, check_logs, scheduler
from lprnet.tuning.fastest_build import compile_fastest
from lprnet.tuning.log.nearest import substitution
from lprnet.tuning.measurement.compare_kernels import require_measurable
from schedules.apply import KernelReport

LATENCY_ROUNDS = 100
LARGEST = 8_000_000
"""Bytes of an artifact or an ONNX file, at most."""
AGREEMENT_PLATES = 200
"""A few seconds; `report` reads more."""
NO_TILES = (
    "Searched schedules know no tile registers (AMX), so this artifact multiplies by VNNI alone; "
    "--schedule manual uses both."
)


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    checkpoint: Path
    """A state dict, or an ONNX file."""
    quantized: str | None
    """`static`, `weights`, `bf16`, or None for what the checkpoint is: float32, or int8 in QDQ
    form.
    """
    pruned: str | None
    """`unstructured`, `depth-aware`, `structured`, or None."""
    target: str
    schedule: str
    calibration: Path | None
    output: Path
    stated: Stated | None = None
    """What is known of the network beside its tensors."""
    distill: Distill | None = None
    """Train what structured pruning leaves; None: it is refitted alone."""
    keep: Keep | None = None
    """What structured pruning leaves; None: what is recorded or searched."""
    dump: Path | None = None
    """An empty folder for the network after every phase (`lprnet/compiler/dump.py`)."""
    profile: bool = False
    """Whether `lprnet inspect --profile` can time each kernel of the artifact."""
    onnx: Path | None = None
    """A file for the network that is compiled, as ONNX (`lprnet/compiler/onnx_file.py`)."""


@subnormals_as_zero()
def build(request: Request) -> tuple[Build, Record | None]:
    """Build and time what `request` asks for; no timing where this CPU cannot run the target.

    Raises `UserError` for every user error.
    """
    with nullcontext() if request.dump is None else dump_phases(request.dump):
        built, image = _built(request)
    return built, None if built.parity is None else latency(built, image)


def _built(request: Request) -> tuple[Build, NDArray[np.uint8]]:
    """The artifact, and an image `(1, 24, 94, 3)` to time it on."""
    targets = by_hand = _targets(request)
    if request.schedule != "manual":
        targets = without_tiles(targets)
    check_before_work(request, targets)
    confidence = read_confidence(request.checkpoint)
    network, images, files = prepare(
        request.checkpoint,
        request.calibration,
        request.quantized,
        request.pruned,
        request.stated,
        request.distill,
        request.keep,
    )
    network = replace(network, stamped=request.profile)
    if network.scales and targets != by_hand:
        network = replace(network, notes=(*network.notes, NO_TILES))
    source = Source(request.checkpoint, tuple(file.name for file in files), confidence)
    artifact = request.output / f"lprnet-{network.variant}-{request.target}.so"
    what = (network, targets, source, images, artifact)
    if request.schedule == "hybrid":
        built = compile_fastest(*what)
    else:
        built = compile_network(*what, scheduler(request.schedule, network.variant))
    if request.onnx is not None:
        network_to_onnx(network, request.onnx)
    return built, images[:1]


def check_before_work(request: Request, targets: Sequence[Target]) -> None:
    """Raise `UserError` for what could only fail after calibration, a search of widths or training,
    and is known before: a tuning log or a CPU that is missing, the C compiler, and room on disk.
    """
    what = (request.checkpoint, request.stated, request.quantized, request.pruned)
    if request.schedule in TUNED:
        check_logs(request.schedule, targets, variant_name(*what))
    if request.schedule == "hybrid":
        for target in targets:
            require_measurable(target)
    check_compiler()
    for path in (request.output, request.onnx):
        if path is not None:
            check_writable(path, LARGEST)


def _targets(request: Request) -> tuple[Target, ...]:
    """What the artifact holds code for. Raises `UserError` for what bf16 has no form of."""
    if request.quantized != "bf16":
        return find_targets(request.target)
    if request.schedule != "manual":
        raise UserError(
            "bf16 has schedules written by hand alone, because no search knows tile registers "
            "(AMX); leave out --schedule"
        )
    if request.onnx is not None:
        raise UserError("--onnx writes float32 and int8, not bf16; leave it out")
    return bf16_targets(request.target)


def latency(built: Build, image: NDArray[np.uint8]) -> Record:
    """One thread, batch 1, through the Python API."""
    reader = Recognizer(built.artifact)
    with on_one_core():
        samples = interleaved_timings({"lprnet": lambda: reader.logits(image)}, LATENCY_ROUNDS)[
            "lprnet"
        ]
    return record(
        samples,
        variant=built.manifest.variant,
        engine="lprnet",
        isa=reader.target_version.target,
        batch=1,
    )


@subnormals_as_zero()
def agreement(built: Build) -> TextAgreement | None:
    """Of a smaller network with the one that it was made from, on plates as rendered for China.

    None for an artifact that computes the whole network in float32, that this CPU cannot run, or
    that reads something else.
    """
    reads = reads_as_published(built.manifest.image, built.manifest.alphabet)
    if built.original is None or built.parity is None or not reads:
        return None
    return compare_texts(built.original, Recognizer(built.artifact).logits, AGREEMENT_PLATES)


def build_tables(
    built: Build, timing: Record | None, same: TextAgreement | None = None
) -> list[Table]:
    """What was built, for a terminal: its facts, then for each target what quantization did and its
    kernels.
    """
    facts = Table(title=str(built.artifact), show_header=False)
    facts.add_row("size", f"{built.artifact.stat().st_size / 1024:.0f} KiB")
    alphabet, image = built.manifest.alphabet, built.manifest.image
    facts.add_row("alphabet", f"{alphabet.name}, {alphabet.classes} classes with the blank")
    facts.add_row("image", f"{image.width}x{image.height}, {image.colours}")
    facts.add_row("work", f"{built.manifest.macs / 1e6:.1f} MMAC a plate")
    if built.manifest.pruning:
        facts.add_row("pruned", built.manifest.pruning)
    fitted = built.manifest.confidence
    facts.add_row("confidences", "not calibrated" if fitted is None else f"of {fitted.source}")
    tables = [facts]
    for one in built.compiled:
        name, parity = one.target.name, one.parity
        if parity is None:
            facts.add_row(f"{name} code", "not checked: this CPU cannot run it")
        else:
            facts.add_row(
                f"{name} code",
                f"{parity.same_plates} of {parity.images} plates as expected, largest logit error "
                f"{parity.relative_error:.1e} of the largest logit",
            )
        if one.layers:
            tables.append(_layers(one.layers, name))
        tables.append(_kernels(one.kernels, name))
    if same is not None:
        facts.add_row("texts of the float network it was made from", str(same))
    if timing is not None:
        facts.add_row(
            f"latency of {timing.isa} code, one thread",
            f"{timing.min_ms:.3f} ms min, {timing.median_ms:.3f} median, {timing.p95_ms:.3f} p95",
        )
    return tables


def log_substitutions(built: Build) -> list[str]:
    """A sentence for each target whose schedules come from another target's tuning log."""
    sentences = []
    for one in built.compiled:
        for log in sorted({kernel.tuned_for for kernel in one.kernels if kernel.tuned_for}):
            sentence = substitution(one.target.name, built.manifest.variant, log)
            if sentence:
                sentences.append(sentence)
    return sentences


def _kernels(kernels: tuple[KernelReport, ...], target: str) -> Table:
    table = Table("kernel", "MMAC", "schedule", "tile", title=f"kernels, {target}")
    for kernel in kernels:
        macs = f"{kernel.macs / 1e6:.2f}" if kernel.macs else ""
        table.add_row(kernel.kernel, macs, kernel.origin, kernel.tile)
    return table


def _layers(layers: tuple[LayerSummary, ...], target: str) -> Table:
    columns = ("layer", "weight scales", "activation", "SQNR", "zero point")
    table = Table(*columns, title=f"int8, {target}")
    for layer in layers:
        steps, scale = layer.weight_scales, layer.activation_scale
        table.add_row(
            layer.layer,
            "float32" if steps is None else f"{steps[0]:.2e} to {steps[1]:.2e}",
            "float32" if scale is None else f"{scale:.3g}",
            "" if layer.sqnr is None else f"{layer.sqnr:.1f} dB",
            "" if scale is None else "0",
        )
    return table
