"""What an artifact is, for a reader: its manifest, and what of it runs here."""

import dataclasses
from pathlib import Path
from typing import Any

from lprnet.runtime.artifact import TILES, Artifact, missing_flags, read_artifact
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.manifest import TargetVersion
from lprnet.support.file_names import printable

Rows = list[tuple[str, ...]]


def description(path: Path) -> dict[str, Any]:
    """The manifest of the artifact at `path` as JSON values, with `bytes`, and for each of its
    target versions `missing_cpu_features`.

    Raises `UserError` where the artifact is not the file that its manifest describes.
    """
    artifact = read_artifact(path)
    content = dataclasses.asdict(artifact.manifest)
    versions = artifact.manifest.target_versions
    for version, values in zip(versions, content["target_versions"], strict=True):
        values["missing_cpu_features"] = missing_flags(version)
    return {"artifact": str(path), "bytes": len(artifact.content), **content}


def as_text(path: Path) -> str:
    """`description` as aligned text, the kernels of each target version in a table; control
    characters in names are escaped.
    """
    artifact = read_artifact(path)
    parts = [printable(str(path)), _aligned(_facts(artifact))]
    for version in artifact.manifest.target_versions:
        parts += ["", f"{version.target} code", _aligned(_version_facts(version)), ""]
        parts += [_aligned(_kernels(version))]
    return "\n".join(parts)


def _facts(artifact: Artifact) -> Rows:
    manifest = artifact.manifest
    image, alphabet = manifest.image, manifest.alphabet
    grammar = "with a grammar" if alphabet.grammar else "no grammar"
    calibration = f"{len(manifest.calibration)} images" if manifest.calibration else "none of yours"
    return [
        ("integrity", "the file that its manifest describes"),
        ("size", f"{len(artifact.content) / 1024:.0f} KiB"),
        ("variant", manifest.variant),
        ("work", f"{manifest.macs / 1e6:.1f} MMAC a plate"),
        ("reads", f"{image.width}x{image.height} {image.colours}, {image.fit}"),
        ("alphabet", f"{alphabet.name}, {alphabet.classes} classes, {grammar}"),
        ("checkpoint", f"{manifest.checkpoint}, SHA-256 {manifest.checkpoint_sha256[:16]}..."),
        ("calibration", calibration),
        ("confidences", _confidences(manifest.confidence)),
        ("built with", ", ".join(f"{name} {one}" for name, one in manifest.built_with.items())),
    ]


def _confidences(calibrated: ConfidenceCalibration | None) -> str:
    if calibrated is None:
        return "CTC probabilities; lprnet calibrate fits them"
    return (
        f"fitted on {calibrated.images} {calibrated.source}, 99 % right from "
        f"{calibrated.precise_at:.4f} on"
    )


def _version_facts(version: TargetVersion) -> Rows:
    parity = "not compared: the CPU that built it could not run it"
    if version.parity is not None:
        parity = f"{version.parity.same_plates} of {version.parity.images} plates as expected"
    return [
        ("runs here", _runs_here(version)),
        ("needs", " ".join(version.cpu_flags)),
        ("memory", f"{version.arena_bytes / 1024:.0f} KiB a plate being read"),
        ("parity", parity),
        ("passes", ", ".join(version.passes)),
    ]


def _runs_here(version: TargetVersion) -> str:
    missing = missing_flags(version)
    if missing:
        return f"no, this CPU lacks {', '.join(missing)}"
    return (
        "yes, in processes that Linux gives tile registers" if TILES in version.cpu_flags else "yes"
    )


def _kernels(version: TargetVersion) -> Rows:
    rows: Rows = [("kernel", "MMAC", "schedule", "tile")]
    for kernel in version.kernels:
        macs = f"{kernel.macs / 1e6:.2f}" if kernel.macs else ""
        origin = f"{kernel.origin}, {kernel.tuned_for}'s" if kernel.tuned_for else kernel.origin
        rows.append((kernel.kernel, macs, origin, kernel.tile))
    return rows


def _aligned(rows: Rows) -> str:
    """Rows of cells as columns, two spaces between; the last is as long as it is."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(f"  {line}".rstrip() for line in padded)
