"""An artifact: one shared object, and its manifest in a file beside it.

Without TVM and torch. Before a shared object is loaded, its SHA-256 is compared with the manifest,
and this CPU must have every instruction that one of its target versions may contain.
"""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.cpu import cpu_flags
from lprnet.runtime.image_format import ImageFormat
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.file_names import utf8_json

ALIGNMENT = 64
"""Bytes; a cache line and an AVX-512 vector. Tensors in an arena start at multiples of it."""
FORMAT = 3
"""Incremented if a manifest changes so that an older or newer runtime would misread it."""

Json = dict[str, Any]
Fields = TypeVar("Fields")


@dataclass(frozen=True)
class TargetVersion:
    """The network compiled for one target; an artifact has one or more (multiversioning)."""

    target: str
    function: str
    """Name of its function in the shared object."""
    cpu_flags: tuple[str, ...]
    """`/proc/cpuinfo` flags that it needs."""
    arena_bytes: int
    logits_shape: tuple[int, ...]
    """One image's stored output: (1, positions, classes padded to whole vectors)."""
    passes: tuple[str, ...]
    kernels: tuple[Json, ...]
    """One object a kernel: name, MACs, origin and tile of its schedule."""
    parity: Json | None
    """Its comparison with torch at build time; None if that CPU could not run it."""


@dataclass(frozen=True)
class Manifest:
    """The facts about one shared object, stored as JSON."""

    variant: str
    """How the network was made smaller: `fp32`, `int8`, ..."""
    target: str
    """The target it was built for, a name of `lprnet/compiler/targets.py`."""
    codes: tuple[TargetVersion, ...]
    """From the least demanding to the most; a CPU runs the last one that it can."""
    sha256: str
    image: ImageFormat
    """What it reads, as uint8 `(N, height, width, channels)`."""
    alphabet: Alphabet
    """What its logits mean."""
    checkpoint: str
    """File name of the weights it was built from."""
    checkpoint_sha256: str
    context_means: tuple[float, ...] | None
    """Calibrated constants of the context norm, None if it is computed for each image."""
    calibration: tuple[str, ...]
    """File names of the images that any constant was calibrated on; at most 100."""
    macs: int
    versions: Json
    format: int = FORMAT


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_path(artifact: Path) -> Path:
    """`lprnet-fp32-native.so` has its manifest in `lprnet-fp32-native.json`."""
    return artifact.with_suffix(".json")


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write `manifest` as JSON, all or nothing. Raises `UserError` if `path` cannot be written."""
    text = utf8_json(json.dumps(dataclasses.asdict(manifest), ensure_ascii=False, indent=2)) + "\n"
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_manifest(artifact: Path) -> Manifest:
    """The manifest beside `artifact`, checked for form. Raises `UserError`."""
    path = manifest_path(artifact)
    rebuild = "build the artifact again with lprnet build"
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
    manifest = _record(Manifest, content)
    found = [] if manifest is None else [_record(TargetVersion, one) for one in manifest.codes]
    known = [version for version in found if version is not None]
    image = None if manifest is None else _record(ImageFormat, manifest.image)
    alphabet = None if manifest is None else _record(Alphabet, manifest.alphabet)
    if (
        manifest is None
        or image is None
        or alphabet is None
        or manifest.format != FORMAT
        or not known
        or len(known) < len(found)
    ):
        raise UserError(f"{path}: was written by another version of lprnet; {rebuild}.")
    return dataclasses.replace(manifest, codes=tuple(known), image=image, alphabet=alphabet)


def _record(kind: Callable[..., Fields], content: Any) -> Fields | None:
    """A JSON object as the dataclass `kind`, lists as tuples; None if its fields differ or `kind`
    refuses their values.
    """
    if not isinstance(content, dict) or set(content) != set(inspect.signature(kind).parameters):
        return None
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
    except (TypeError, ValueError):
        return None


def missing_flags(version: TargetVersion) -> list[str]:
    """The CPU features that `version` needs and this machine lacks."""
    return sorted(set(version.cpu_flags) - cpu_flags())


def verify(artifact: Path) -> Manifest:
    """The manifest of an artifact that is unaltered and runs on this CPU. Raises `UserError`."""
    if not artifact.is_file():
        raise UserError(f"{artifact}: there is no such artifact; build one with lprnet build.")
    manifest = read_manifest(artifact)
    if digest(artifact) != manifest.sha256:
        raise UserError(
            f"{artifact}: is not the file its manifest describes (cut short or altered); build it "
            "again with lprnet build."
        )
    _require(artifact, manifest.codes[0])
    return manifest


def version_for(artifact: Path, manifest: Manifest, target: str) -> TargetVersion:
    """The version for `target`. Raises `UserError` if there is none or this CPU cannot run it."""
    for version in manifest.codes:
        if version.target == target:
            _require(artifact, version)
            return version
    raise UserError(
        f"{artifact}: holds no code for {target}, but for "
        f"{', '.join(version.target for version in manifest.codes)}; choose one of them."
    )


def _require(artifact: Path, version: TargetVersion) -> None:
    """Raises `UserError` if this CPU cannot run `version`."""
    missing = missing_flags(version)
    if missing:
        raise UserError(
            f"{artifact}: needs a CPU at least like {version.target} and this one lacks "
            f"{', '.join(missing)}; build it here with lprnet build --target native, which "
            "asks for no more than AVX2."
        )
