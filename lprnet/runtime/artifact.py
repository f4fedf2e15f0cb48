"""An artifact: one shared object, and its manifest in a file beside it.

Without TVM and torch. The file is read once; the bytes whose SHA-256 the manifest states are those
that are loaded, from memory. So an artifact may be replaced or overwritten while it is in use, and
may lie on a file system that allows no execution.
"""

import os
from typing import TYPE_CHECKING, NamedTuple

from lprnet.runtime.cpu import cpu_flags
from lprnet.runtime.manifest import (
    MAX_BYTES,
    FormatError,
    Manifest,
    TargetVersion,
    from_json,
    to_json,
)
from lprnet.runtime.shared_object import SharedObject
from lprnet.support.errors import UserError, one_line
from lprnet.support.sha256 import sha256

if TYPE_CHECKING:
    from pathlib import Path

ALIGNMENT = 64
"""Bytes; a cache line and an AVX-512 vector. Tensors in an arena start at multiples of it."""
MAX_ARTIFACT = 256 << 20
"""Bytes of a shared object, a hundred times those of an LPRNet; of a longer one no more is read,
and that is not what its manifest describes."""
TILES = "amx_tile"
"""The CPU feature whose registers Linux gives only to a process that asks."""
REBUILD = "build the artifact again with lprnet build"


class Artifact(NamedTuple):
    """A shared object that its manifest describes; neither is loaded."""

    file: str | os.PathLike[str]
    """The path of the shared object: where it is from, or will be."""
    content: bytes
    manifest: Manifest

    @property
    def path(self) -> "Path":
        """`file` as a `Path`."""
        return _path(self.file)


def manifest_path(artifact: str | os.PathLike[str]) -> "Path":
    """`lprnet-fp32-native.so` has its manifest in `lprnet-fp32-native.json`."""
    return _path(_manifest_name(artifact))


def _path(name: str | os.PathLike[str]) -> "Path":
    from pathlib import Path  # 2 ms of a start, and not needed to read

    return Path(name)


def _manifest_name(artifact: str | os.PathLike[str]) -> str:
    return os.path.splitext(artifact)[0] + ".json"


def write_artifact(artifact: Artifact) -> None:
    """Write both files, all or nothing: only KILL between the two renames leaves one of them old,
    which is refused when it is loaded. Raises `UserError` if that is not possible.
    """
    from contextlib import ExitStack  # readers need none of these

    from lprnet.support.atomic_file import atomic_write
    from lprnet.support.child_process import signals_later

    text = to_json(artifact.manifest)
    with (
        ExitStack() as renames,
        atomic_write(manifest_path(artifact.path)) as manifest,
        atomic_write(artifact.path) as shared_object,
    ):
        manifest.write_text(text, encoding="utf-8")
        shared_object.write_bytes(artifact.content)
        renames.enter_context(signals_later())


def read_manifest(artifact: str | os.PathLike[str]) -> Manifest:
    """The manifest beside `artifact`. Raises `UserError` if it is missing or damaged."""
    path = _manifest_name(artifact)
    try:
        return from_json(_content(path, MAX_BYTES))
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: the manifest beside the artifact is missing; copy both files or {REBUILD}."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {REBUILD}.") from error
    except FormatError as error:
        raise UserError(f"{path}: was written by another version of lprnet; {REBUILD}.") from error
    except ValueError as error:
        raise UserError(
            f"{path}: is not a manifest, or damaged ({one_line(error)}); {REBUILD}."
        ) from error


def read_artifact(path: str | os.PathLike[str]) -> Artifact:
    """The artifact at `path`, as its manifest describes it. Raises `UserError` for any other."""
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such artifact; build one with lprnet build.")
    manifest = read_manifest(path)
    try:
        content = _content(path, MAX_ARTIFACT)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {REBUILD}.") from error
    if sha256(content).hexdigest() != manifest.artifact_sha256:
        raise UserError(
            f"{path}: is not the file its manifest describes (cut short or altered); {REBUILD}."
        )
    return Artifact(path, content, manifest)


def _content(path: str | os.PathLike[str], most: int) -> bytes:
    """What is in the file, or of a longer one `most` bytes and one."""
    with open(path, "rb") as file:
        return file.read(most + 1)


def load(artifact: Artifact) -> SharedObject:
    """The code of an artifact. Raises `UserError` if this CPU can run no version of it, if the
    system does not load it, or if it was compiled for another alphabet or other shapes than its
    manifest has.
    """
    require_cpu(artifact, artifact.manifest.target_versions[0])
    try:
        code = SharedObject(artifact.content)
        confirmed = code.integer("contract")
    except OSError as error:
        raise UserError(
            f"{artifact.file}: cannot be loaded ({one_line(error)}); {REBUILD}."
        ) from error
    if confirmed != artifact.manifest.contract:
        raise UserError(
            f"{_manifest_name(artifact.file)}: states an alphabet, shapes or CPUs that the "
            f"artifact was not compiled for; {REBUILD}."
        )
    return code


def missing_flags(version: TargetVersion) -> list[str]:
    """The CPU features that `version` needs and this machine lacks."""
    return sorted(set(version.cpu_flags) - cpu_flags())


def runs_here(artifact: Artifact, version: TargetVersion) -> bool:
    """Whether this process can run `version`, which may need registers that Linux has to grant."""
    if missing_flags(version):
        return False
    if TILES not in version.cpu_flags:
        return True
    number = artifact.manifest.target_versions.index(version)
    try:
        return _best_number(artifact, load(artifact)) >= number
    except UserError:  # refused, and there is no other code
        return False


def best_version(artifact: Artifact, code: SharedObject) -> TargetVersion:
    """The version that `run` of the loaded artifact calls: the most demanding that this process
    can.

    Raises `UserError` if there is none: a virtual machine can hide from `cpuid` what Linux lists.
    """
    return artifact.manifest.target_versions[_best_number(artifact, code)]


def _best_number(artifact: Artifact, code: SharedObject) -> int:
    try:
        return code.integer("code")
    except RuntimeError as error:
        if _needs_tiles(artifact):
            raise UserError(
                f"{artifact.file}: the system gives this process no tile registers (AMX), which "
                f"{artifact.manifest.variant} needs; build float32 or int8 instead."
            ) from error
        raise UserError(
            f"{artifact.file}: {str(error).rstrip('.')} (says cpuid, other than /proc/cpuinfo); "
            "run it on another machine, or without an emulator."
        ) from error


def _needs_tiles(artifact: Artifact) -> bool:
    """Whether even its least demanding code multiplies in tile registers."""
    return TILES in artifact.manifest.target_versions[0].cpu_flags


def version_for(artifact: Artifact, code: SharedObject, target: str) -> TargetVersion:
    """The version for `target`.

    Raises `UserError` if there is none, or this process cannot run it.
    """
    for number, version in enumerate(artifact.manifest.target_versions):
        if version.target == target:
            require_cpu(artifact, version)
            if TILES in version.cpu_flags and _best_number(artifact, code) < number:
                raise UserError(
                    f"{artifact.file}: the system gives this process no tile registers (AMX), "
                    f"which {target} code needs; leave the target out to run its other code."
                )
            return version
    known = ", ".join(version.target for version in artifact.manifest.target_versions)
    raise UserError(
        f"{artifact.file}: holds no code for {target}, but for {known}; choose one of them."
    )


def require_cpu(artifact: Artifact, version: TargetVersion) -> None:
    """Raises `UserError` if this CPU cannot run `version`."""
    missing = missing_flags(version)
    if missing and _needs_tiles(artifact):
        raise UserError(
            f"{artifact.file}: {artifact.manifest.variant} needs a CPU with AMX and this one lacks "
            f"{', '.join(missing)}; build float32 or int8 here with lprnet build --target native."
        )
    if missing:
        raise UserError(
            f"{artifact.file}: needs a CPU at least like {version.target} and this one lacks "
            f"{', '.join(missing)}; build it here with lprnet build --target native, which "
            "asks for no more than AVX2."
        )
