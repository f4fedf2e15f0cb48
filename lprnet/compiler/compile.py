"""The whole compiler, top to bottom: a network becomes one verified shared object.

A portable one is the same compile for several targets, each a function of its own name.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tvm
from numpy.typing import NDArray

from lprnet.compiler.aot_function import Program, build_aot_function
from lprnet.compiler.complexity import count_macs
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.dump import dump_phase, script
from lprnet.compiler.link import link
from lprnet.compiler.lower import lower, passes_of, weights_of
from lprnet.compiler.network import CompilerInput, LayerSummary
from lprnet.compiler.parity import compare_logits
from lprnet.compiler.targets import Target, artifact_target
from lprnet.runtime.artifact import Artifact, runs_here, write_artifact
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.decode import Logits
from lprnet.runtime.manifest import (
    STAMPED,
    KernelRecord,
    Manifest,
    Parity,
    TargetVersion,
    contract,
)
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import made_folder
from lprnet.support.file_digest import file_digest
from schedules.amx.conv2d import TILE_REGISTERS
from schedules.apply import KernelReport, apply

DISTRIBUTIONS = ("lprnet-tvm", "apache-tvm", "apache-tvm-ffi")
"""Whose versions a manifest records."""

Scheduler = Callable[[tvm.IRModule, Target], tuple[tvm.IRModule, list[KernelReport]]]
"""Gives every kernel of a lowered module its schedule, and says which."""


@dataclass(frozen=True)
class Source:
    """Where the weights and the calibrated constants come from."""

    checkpoint: Path
    calibration: tuple[str, ...]
    """File names of the images that constants were calibrated on."""
    confidence: ConfidenceCalibration | None = None
    """How sure plates are that a network of these weights reads, if that was measured."""


@dataclass(frozen=True)
class Compiled:
    """What was learnt of one target version."""

    target: Target
    kernels: tuple[KernelReport, ...]
    layers: tuple[LayerSummary, ...]
    parity: Parity | None
    """None where this CPU cannot run it."""


@dataclass(frozen=True)
class Build:
    """A finished artifact and what was learnt on the way."""

    artifact: Path
    manifest: Manifest
    compiled: tuple[Compiled, ...]
    """One a target version of the manifest."""
    original: Logits | None
    """As in `CompilerInput`."""
    notes: tuple[str, ...] = ()
    """What a user should know of the network, a sentence each."""

    @property
    def parity(self) -> Parity | None:
        """Of the best version that this CPU can run."""
        return next((one.parity for one in reversed(self.compiled) if one.parity), None)


def schedule_by_hand(
    module: tvm.IRModule, target: Target
) -> tuple[tvm.IRModule, list[KernelReport]]:
    """The `Scheduler` that needs no tuning log: `schedules.apply.apply`."""
    return apply(module, target.isa)


def compile_network(
    network: CompilerInput,
    targets: Sequence[Target],
    source: Source,
    images: NDArray[np.uint8],
    artifact: Path,
    schedule: Scheduler = schedule_by_hand,
) -> Build:
    """Compile `network` for each target, least demanding first, into `artifact` and its manifest,
    all or nothing.

    `images` `(N, 24, 94, 3)` uint8 BGR are what the artifact is compared with torch on before it
    gets its name. Raises `UserError` if it cannot be written or a target cannot multiply the
    network's weights exactly, `ParityError` if it does not compute what torch computes, and
    whatever `schedule` raises.
    """
    with made_folder(artifact.parent):
        return _compile(network, targets, source, images, artifact, schedule)


def _compile(
    network: CompilerInput,
    targets: Sequence[Target],
    source: Source,
    images: NDArray[np.uint8],
    artifact: Path,
    schedule: Scheduler,
) -> Build:
    """`compile_network` into a folder that is there."""
    # 1. to 3. For each target alone; constants that two targets pack alike are kept once.
    weights = ConstantPool()
    with weights_of(source.checkpoint):
        lowered = {}
        for target in targets:
            one = lower_network(network, target, weights, schedule)
            if one.uses_tiles or not target.isa.tiles:  # without tiles it would be the same twice
                lowered[target] = one
    # 4. One shared object, one function a target in it; and the manifest that describes it.
    architecture = network.architecture
    image, alphabet = architecture.image_format, architecture.alphabet
    versions = tuple(_target_version(target, one) for target, one in lowered.items())
    content = link(
        {target: one.program for target, one in lowered.items()},
        bytes(weights.blob),
        contract(image, alphabet, versions),
    )
    manifest = Manifest(
        variant=network.variant,
        target=artifact_target(targets),
        target_versions=versions,
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        image=image,
        alphabet=alphabet,
        checkpoint=source.checkpoint.name,
        checkpoint_sha256=file_digest(source.checkpoint),
        context_means=network.context_means,
        calibration=source.calibration,
        macs=next(iter(lowered.values())).macs,
        built_with={name: version(name) for name in DISTRIBUTIONS},
        pruning=network.pruning,
        confidence=source.confidence,
    )
    # 5. It is written when every version that this process can run computes what torch computes.
    unverified = Artifact(artifact, content, manifest)
    expected = network.expected(images)
    compiled = []
    for made, (target, one) in zip(versions, lowered.items(), strict=True):
        parity = None
        if runs_here(unverified, made):
            found = Recognizer(unverified, target=target.name).logits(images)
            parity = compare_logits(expected, found, alphabet, network.max_error)
        compiled.append(Compiled(target, one.kernels, network.layers, parity))
    verified = (replace(v, parity=c.parity) for v, c in zip(versions, compiled, strict=True))
    manifest = replace(manifest, target_versions=tuple(verified))
    write_artifact(Artifact(artifact, content, manifest))
    return Build(artifact, manifest, tuple(compiled), network.original, network.notes)


@dataclass(frozen=True)
class Lowered:
    """A network as a program for one target."""

    program: Program
    kernels: tuple[KernelReport, ...]
    passes: tuple[str, ...]
    macs: int
    uses_tiles: bool
    """Whether a kernel uses tile registers."""


def lower_network(
    network: CompilerInput,
    target: Target,
    weights: ConstantPool,
    schedule: Scheduler = schedule_by_hand,
) -> Lowered:
    """The part of `compile_network` for one target; its constants are added to `weights`."""
    # 1. The reduced graph to kernels, by the passes of pipeline.py.
    kernels = lower(network, target.isa)
    # 2. One schedule a kernel.
    scheduled, reports = schedule(kernels, target)
    dump_phase(f"{target.name}-scheduled.py", lambda: script(scheduled))
    # 3. One function over one arena.
    program = build_aot_function(scheduled, target.function, weights)
    dump_phase(f"{target.name}-one-function.py", program.function.script)
    if network.stamped:
        name = target.function + STAMPED
        stamped = build_aot_function(scheduled, name, weights, stamped=True)
        program = replace(program, stamped=stamped)
    passes = passes_of(network, target.isa)
    attributes = [function.attrs or {} for function in scheduled.functions.values()]
    uses_tiles = any(TILE_REGISTERS in one for one in attributes)
    return Lowered(program, tuple(reports), passes, count_macs(network.module), uses_tiles)


def _target_version(target: Target, lowered: Lowered) -> TargetVersion:
    return TargetVersion(
        target=target.name,
        function=target.function,
        cpu_flags=target.flags,
        arena_bytes=lowered.program.arena_bytes,
        logits_shape=lowered.program.logits_shape,
        passes=lowered.passes,
        kernels=tuple(KernelRecord(**asdict(kernel)) for kernel in lowered.kernels),
        parity=None,
        steps=lowered.program.stamped.steps if lowered.program.stamped else (),
    )
