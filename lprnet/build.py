"""`scripts/build.py`'s work: from a checkpoint to a verified, timed artifact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.targets import find_targets
from lprnet.compression.calibration import (
    calibrate,
    calibration_files,
    read_images,
    rendered_images,
)
from lprnet.compression.prune.prune import depth_aware, structured, unstructured
from lprnet.compression.variants import (
    LayerSummary,
    Network,
    float_network,
    quantized_network,
    static_network,
    weights_only_network,
)
from lprnet.measure.timing import Record, interleaved_timings, on_one_core, record
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.quantized import Quantization
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.onnx_import.load import load_onnx
from lprnet.runtime.image_io import normalise
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.tuning.fastest_build import compile_fastest
from relay_passes.lowering.check_pair_sums import PairSumError
from schedules.apply import KernelReport

LATENCY_ROUNDS = 100
UNSTRUCTURED_RATIO = 0.9
"""Of all weights, set to zero by their size; many channels lose all of theirs and go."""
STRUCTURED_WIDTHS: dict[str, int] = {
    "backbone.0": 32,
    **dict(zip((f"backbone.8.block.{n}" for n in (0, 2, 4, 6)), (32, 16, 24, 16), strict=True)),
    **dict(zip((f"backbone.11.block.{n}" for n in (0, 2, 4)), (8, 16, 32), strict=True)),
}
"""Channels that stay; chosen without labels. They are what
`lprnet/compression/prune/width_search.py` picks for the public checkpoint at its budget of 28
million multiply-accumulates: the cheapest cuts to multiples of 8, by the squared change of the
logits of 32 calibration images per work saved, whole vectors counted. Any other checkpoint gets the
same widths, its own channels chosen and refitted; `scripts/sweep.py` finds its own.
"""
STRUCTURED_INT8_WIDTHS = STRUCTURED_WIDTHS | {"backbone.8.block.0": 24, "backbone.8.block.2": 24}
"""Of static int8: what the same picks when work is counted as it is, without filling. Whole vectors
made float32 6 % faster than these and static int8 no faster.
"""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    checkpoint: Path
    """A state dict, or an ONNX file."""
    quantized: str | None
    """`static`, `weights`, or None for what the checkpoint is: float32, or int8 in QDQ form."""
    pruned: str | None
    """`unstructured`, `depth-aware`, `structured`, or None."""
    target: str
    schedule: str
    calibration: Path | None
    output: Path


@subnormals_as_zero()
def build(request: Request) -> tuple[Build, Record | None]:
    """Build and time what `request` asks for; no timing where this CPU cannot run the target.

    Raises `UserError` for anything that the user can mend.
    """
    targets = find_targets(request.target)
    how = (request.quantized, request.pruned)
    model, images, files = _reduced(request.checkpoint, request.calibration, *how)
    network = _network(model, images, *how)
    source = Source(request.checkpoint, tuple(file.name for file in files))
    artifact = request.output / f"lprnet-{network.variant}-{request.target}.so"
    try:
        if request.schedule == "hybrid":
            built = compile_fastest(network, targets, source, images, artifact)
        else:
            built = compile_network(network, targets, source, images, artifact, request.schedule)
    except PairSumError as error:
        raise UserError(f"{request.checkpoint}: {error}") from error
    return built, None if built.parity is None else latency(built, images[:1])


def prepare(
    checkpoint: Path,
    calibration: Path | None,
    quantized: str | None,
    pruned: str | None = None,
) -> tuple[Network, NDArray[np.uint8], list[Path]]:
    """The network to compile, images to compare it on, and the files it was calibrated on.

    Raises `UserError` for a bad checkpoint or image.
    """
    model, images, files = _reduced(checkpoint, calibration, quantized, pruned)
    return _network(model, images, quantized, pruned), images, files


def _reduced(
    checkpoint: Path, calibration: Path | None, quantized: str | None, pruned: str | None
) -> tuple[LPRNet | Quantization, NDArray[np.uint8], list[Path]]:
    """The calibrated and pruned model, in float32 unless the checkpoint is in integers; the rest as
    `prepare`.
    """
    model = load_onnx(checkpoint) if checkpoint.suffix == ".onnx" else load_model(checkpoint)
    if isinstance(model, Quantization):
        if calibration is not None or pruned or quantized == "weights":
            raise UserError(
                f"{checkpoint} is quantized already and built as it is; leave out --calibration, "
                "--pruned and --quantized=weights, or give the float network it was made from"
            )
        return model, rendered_images(), []
    files = [] if calibration is None else calibration_files(calibration)
    images = read_images(files) if files else rendered_images()
    if files or ((quantized or pruned) and model.context_means is None):
        calibrate(model, images)
    if pruned:
        widths = STRUCTURED_INT8_WIDTHS if quantized == "static" else STRUCTURED_WIDTHS
        model = _prune(model, images, pruned, widths)
    return model, images, files


def _prune(model: LPRNet, images: NDArray[np.uint8], how: str, widths: Mapping[str, int]) -> LPRNet:
    match how:
        case "unstructured":
            return unstructured(model, UNSTRUCTURED_RATIO)
        case "depth-aware":
            return depth_aware(model)
        case _:
            return structured(model, torch.from_numpy(normalise(images)), widths)


def _network(
    model: LPRNet | Quantization,
    images: NDArray[np.uint8],
    quantized: str | None,
    pruned: str | None,
) -> Network:
    """The variant to compile."""
    if isinstance(model, Quantization):
        return quantized_network(model)
    match quantized:
        case "static":
            network = static_network(model, images)
        case "weights":
            network = weights_only_network(model, images)
        case _:
            network = float_network(model)
    return replace(network, variant=f"{network.variant}-{pruned}") if pruned else network


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
        isa=reader.code.target,
        batch=1,
    )


def build_tables(built: Build, timing: Record | None) -> list[Table]:
    """What was built, for a terminal: its facts, then for each target what quantization did and its
    kernels.
    """
    facts = Table(title=str(built.artifact), show_header=False)
    facts.add_row("size", f"{built.artifact.stat().st_size / 1024:.0f} KiB")
    facts.add_row("work", f"{built.manifest.macs / 1e6:.1f} MMAC a plate")
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
    if timing is not None:
        facts.add_row(
            f"latency of {timing.isa} code, one thread",
            f"{timing.min_ms:.3f} ms min, {timing.median_ms:.3f} median, {timing.p95_ms:.3f} p95",
        )
    return tables


def _kernels(kernels: tuple[KernelReport, ...], target: str) -> Table:
    table = Table("kernel", "MMAC", "schedule", "tile", title=f"kernels, {target}")
    for kernel in kernels:
        macs = f"{kernel.macs / 1e6:.2f}" if kernel.macs else ""
        table.add_row(kernel.kernel, macs, kernel.origin, kernel.tile)
    return table


def _layers(layers: tuple[LayerSummary, ...], target: str) -> Table:
    columns = ("layer", "weight scales", "activation", "zero point", "SQNR")
    table = Table(*columns, title=f"int8, {target}")
    for layer in layers:
        steps, scale = layer.weight_scales, layer.activation_scale
        table.add_row(
            layer.layer,
            "float32" if steps is None else f"{steps[0]:.2e} to {steps[1]:.2e}",
            "float32" if scale is None else f"{scale:.3g}",
            "" if scale is None else "0",
            "" if layer.sqnr is None else f"{layer.sqnr:.1f} dB",
        )
    return table
