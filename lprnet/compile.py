"""The whole compiler, top to bottom: a network becomes one verified shared object."""

import os
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.alphabet import ALPHABET
from lprnet.artifact import (
    Manifest,
    digest,
    make_folder,
    manifest_path,
    missing_flags,
    write_manifest,
)
from lprnet.complexity import count_macs
from lprnet.export import to_relax
from lprnet.link import link
from lprnet.merge import merge_kernels
from lprnet.model import HEIGHT, WIDTH
from lprnet.network import LayerSummary, Network
from lprnet.parity import Parity, compare
from lprnet.runtime import Recognizer
from lprnet.targets import Target
from lprnet.tuning import LOGS
from lprnet.tuning.log import open_log
from relay_passes.pipeline import lower_graph, pass_names, quantize_graph, reduce_graph
from schedules.apply import TUNED, KernelReport, apply

DISTRIBUTIONS = ("lprnet-tvm", "apache-tvm", "apache-tvm-ffi")
"""Whose versions a manifest records."""


@dataclass(frozen=True)
class Source:
    """Where the weights and the calibrated constants come from."""

    checkpoint: Path
    calibration: tuple[str, ...]
    """File names of the images that constants were calibrated on."""


@dataclass(frozen=True)
class Build:
    """A finished artifact and what was learnt on the way."""

    artifact: Path
    manifest: Manifest
    kernels: tuple[KernelReport, ...]
    layers: tuple[LayerSummary, ...]
    parity: Parity | None
    """None where this CPU cannot run the target's code."""


def compile_network(
    network: Network,
    source: Source,
    target: Target,
    images: NDArray[np.uint8],
    artifact: Path,
    schedule: str = "manual",
    logs: Path = LOGS,
) -> Build:
    """Compile `network` for `target` into `artifact` and its manifest, all or nothing.

    `images` `(N, 24, 94, 3)` uint8 BGR are what the artifact is compared with torch on before it
    gets its name. `schedule` is an origin of `schedules.apply.apply`; tuned ones come from the log
    of this target and variant in `logs`. Raises `UserError` if it cannot be written or a kernel has
    no record there, and `ParityError` if it does not compute what torch computes.
    """
    make_folder(artifact.parent)
    # 1. Torch to Relax, the single crossing; then the passes, in the order of pipeline.py.
    reduced = reduce_graph(to_relax(network.model))
    quantized = quantize_graph(reduced, network.scales)
    lowered = lower_graph(quantized, target.isa)
    # 2. One schedule a kernel.
    log = open_log(logs / target.name / network.variant) if schedule in TUNED else None
    scheduled, kernels = apply(lowered, target.isa, schedule, log)
    # 3. One function over one arena, one shared object.
    program = merge_kernels(scheduled)
    unverified = artifact.with_name(f"{artifact.stem}.{os.getpid()}.partial.so")
    try:
        link(program, target, unverified)
        manifest = Manifest(
            variant=network.variant,
            target=target.name,
            cpu_flags=target.flags,
            sha256=digest(unverified),
            arena_bytes=program.arena_bytes,
            logits_shape=program.logits_shape,
            preprocessing={
                "height": HEIGHT,
                "width": WIDTH,
                "channels": "BGR",
                "resize": "bilinear, only where the size differs",
                "normalise": "(x - 127.5) / 128, in the artifact",
            },
            alphabet="".join(ALPHABET),
            checkpoint=source.checkpoint.name,
            checkpoint_sha256=digest(source.checkpoint),
            context_means=network.model.context_means,
            calibration=source.calibration,
            macs=count_macs(reduced),
            passes=pass_names(target.isa, network.scales),
            kernels=tuple(asdict(kernel) for kernel in kernels),
            parity={},
            versions={name: version(name) for name in DISTRIBUTIONS},
        )
        write_manifest(manifest, manifest_path(unverified))
        # 4. It gets its name when it computes what torch computes.
        parity = None
        if not missing_flags(manifest):
            found = Recognizer(unverified).logits(images)
            parity = compare(network.expected(images), found)
            manifest = replace(manifest, parity=asdict(parity))
        write_manifest(manifest, manifest_path(artifact))
        unverified.replace(artifact)
    finally:
        unverified.unlink(missing_ok=True)
        manifest_path(unverified).unlink(missing_ok=True)
    return Build(artifact, manifest, tuple(kernels), network.layers, parity)
