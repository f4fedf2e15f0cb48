"""An artifact: one shared object, and beside it the manifest that says what it is.

Nothing here imports TVM or torch. A shared object is checked against its manifest before a byte of
it runs: its SHA-256, and that this CPU has every instruction it may contain.
"""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lprnet.errors import UserError
from lprnet.targets import cpu_flags

FORMAT = 1
"""Raised when a manifest changes so that an older or newer runtime would misread it."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """What a user, the runtime and the reports need to know of one shared object."""

    variant: str
    """How the network was made smaller: `fp32`, `int8`, ..."""
    target: str
    cpu_flags: tuple[str, ...]
    """`/proc/cpuinfo` flags without which the code must not run."""
    sha256: str
    arena_bytes: int
    logits_shape: tuple[int, ...]
    """One image's stored output: (1, positions, classes filled up to whole vectors)."""
    preprocessing: Json
    alphabet: str
    checkpoint: str
    """File name of the weights it was built from."""
    checkpoint_sha256: str
    context_means: tuple[float, ...] | None
    """Calibrated constants of the context norm, None if it is computed for each image."""
    calibration: tuple[str, ...]
    """File names of the images that any constant was calibrated on; at most 100."""
    macs: int
    passes: tuple[str, ...]
    kernels: tuple[Json, ...]
    """One object a kernel: name, MACs, origin and tile of its schedule."""
    parity: Json
    """How the artifact compared with torch before it was written."""
    versions: Json
    format: int = FORMAT


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_path(artifact: Path) -> Path:
    """`lprnet-fp32-native.so` has its manifest in `lprnet-fp32-native.json`."""
    return artifact.with_suffix(".json")


def make_folder(folder: Path) -> None:
    """Make an output folder and its parents. Raises `UserError` if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another output folder."
        ) from error


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write `manifest` as JSON, all or nothing. Raises `UserError` if `path` cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    text = json.dumps(dataclasses.asdict(manifest), ensure_ascii=False, indent=2) + "\n"
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose another output folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def read_manifest(artifact: Path) -> Manifest:
    """The manifest beside `artifact`, checked for form. Raises `UserError`."""
    path = manifest_path(artifact)
    rebuild = "build the artifact again with scripts/build.py"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: the manifest beside the artifact is missing; copy both files or {rebuild}."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {rebuild}.") from error
    except ValueError as error:
        raise UserError(f"{path}: is not a manifest; {rebuild}.") from error
    fields = {field.name for field in dataclasses.fields(Manifest)}
    if not isinstance(content, dict) or content.get("format") != FORMAT or set(content) != fields:
        raise UserError(f"{path}: was written by another version of lprnet; {rebuild}.")
    tuples = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Manifest(**{**content, **tuples})


def missing_flags(manifest: Manifest) -> list[str]:
    """The CPU features that the artifact needs and this machine lacks."""
    return sorted(set(manifest.cpu_flags) - cpu_flags())


def verify(artifact: Path) -> Manifest:
    """The manifest of an artifact that is whole and that this CPU can run. Raises `UserError`."""
    if not artifact.is_file():
        raise UserError(f"{artifact}: there is no such artifact; build one with scripts/build.py.")
    manifest = read_manifest(artifact)
    if digest(artifact) != manifest.sha256:
        raise UserError(
            f"{artifact}: is not the file its manifest describes (cut short or altered); build it "
            "again with scripts/build.py."
        )
    missing = missing_flags(manifest)
    if missing:
        raise UserError(
            f"{artifact}: was built for {manifest.target} and this CPU lacks {', '.join(missing)}; "
            "build it here with scripts/build.py --target native."
        )
    return manifest
