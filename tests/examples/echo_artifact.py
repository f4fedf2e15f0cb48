"""An artifact whose logits are the pixels of the image, so that a test chooses every logit."""

import hashlib
from pathlib import Path

from tvm.script import tirx as T

from lprnet.compiler.aot_function import Program
from lprnet.compiler.link import link
from lprnet.compiler.targets import Target, find_target
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.artifact import Artifact, write_artifact
from lprnet.runtime.image_format import ImageFormat
from lprnet.runtime.manifest import Manifest, TargetVersion, contract

POSITIONS, PADDED, FLOATS = 6, 8, 16
IMAGE = ImageFormat(POSITIONS, PADDED, 1)
ALPHABET = Alphabet("mixed", ("京", "-", "A", "\\n", '"', "😀ñ", "é"), 1)
"""The blank is not last, symbols have one to four bytes, and JSON has to escape some."""


def program(target: Target) -> Program:
    count = POSITIONS * PADDED

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def echo(
        images: T.handle("uint8"),  # type: ignore[valid-type]
        n: T.int64,
        logits: T.handle("float32"),  # type: ignore[valid-type]
        arena: T.handle("float32"),  # type: ignore[valid-type]
    ) -> None:
        T.func_attr({"calling_conv": 2})
        pixels = T.decl_buffer((n * count,), "uint8", data=images)
        out = T.decl_buffer((n * count,), data=logits)
        scratch = T.decl_buffer((FLOATS,), data=arena)
        for i in range(n * count):
            scratch[FLOATS - 1] = T.cast(pixels[i], "float32")
            out[i] = scratch[FLOATS - 1]

    function = echo.with_attr("global_symbol", target.function)
    return Program(function, 4 * FLOATS, IMAGE.shape, (1, POSITIONS, PADDED))


def write_echo(
    path: Path, targets: tuple[str, ...] = ("native",), alphabet: Alphabet = ALPHABET
) -> Artifact:
    """Write it, with the same code for each of `targets`, and return it."""
    found = [find_target(name) for name in targets]
    versions = tuple(
        TargetVersion(
            target=target.name,
            function=target.function,
            cpu_flags=target.flags,
            arena_bytes=4 * FLOATS,
            logits_shape=(1, POSITIONS, PADDED),
            passes=(),
            kernels=(),
            parity=None,
        )
        for target in found
    )
    programs = {target: program(target) for target in found}
    content = link(programs, b"weights", contract(IMAGE, alphabet, versions))
    manifest = Manifest(
        variant="fp32",
        target=found[-1].name,
        target_versions=versions,
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        image=IMAGE,
        alphabet=alphabet,
        checkpoint="\udcff.pth",
        checkpoint_sha256="0" * 64,
        context_means=(0.5, 1e-7, 1e22),
        calibration=("\ud800.jpg", "中.jpg"),
        macs=1,
        built_with={"b": "1", "a": "\x00"},
    )
    artifact = Artifact(path, content, manifest)
    write_artifact(artifact)
    return artifact
