"""Artifacts that are made in a second: a network that reads one letter on every image."""

import hashlib
from pathlib import Path

from tvm.script import tirx as T

from lprnet.compiler.aot_function import Program
from lprnet.compiler.link import link
from lprnet.compiler.targets import Target, find_target
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.artifact import Artifact
from lprnet.runtime.image_format import ImageFormat
from lprnet.runtime.manifest import KernelRecord, Manifest, Parity, TargetVersion, contract

ALPHABET = Alphabet("two", ("A", "B", "-"), 2, "[AB]")
IMAGE = ImageFormat(2, 5, 3)
POSITIONS, PADDED, FLOATS = 4, 8, 32


def program(letter: str, target: Target) -> Program:
    """Logits of 9 for `letter` at the first position, and for the blank at the others."""
    index, blank, count = ALPHABET.index[letter], ALPHABET.blank, POSITIONS * PADDED

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def one_letter(
        images: T.handle("uint8"),  # type: ignore[valid-type]
        n: T.int64,
        logits: T.handle("float32"),  # type: ignore[valid-type]
        arena: T.handle("float32"),  # type: ignore[valid-type]
    ) -> None:
        T.func_attr({"calling_conv": 2})
        out = T.decl_buffer((n * count,), data=logits)
        scratch = T.decl_buffer((FLOATS,), data=arena)
        for i in range(n):
            scratch[0] = T.float32(9)
            for j in range(count):
                out[i * count + j] = T.float32(0)
            out[i * count + index] = scratch[0]
            for position in range(POSITIONS - 1):
                out[i * count + (position + 1) * PADDED + blank] = scratch[0]

    function = one_letter.with_attr("global_symbol", target.function)
    return Program(function, 4 * FLOATS, IMAGE.shape, (1, POSITIONS, PADDED))


def artifact(letter: str, path: Path, target: Target | None = None) -> Artifact:
    """An artifact that reads `letter`; nothing is written. Its manifest asks for no more of a CPU
    than AVX2, whatever `target` does.
    """
    target = target or find_target("native")
    version = TargetVersion(
        target=target.name,
        function=target.function,
        cpu_flags=("avx2",),
        arena_bytes=4 * FLOATS,
        logits_shape=(1, POSITIONS, PADDED),
        passes=("Nothing",),
        kernels=(KernelRecord("letter", 0, "manual", "1 vector"),),
        parity=Parity(1, 0.0, 1),
    )
    content = link(
        {target: program(letter, target)}, b"weights", contract(IMAGE, ALPHABET, [version])
    )
    manifest = Manifest(
        variant="fp32",
        target=target.name,
        target_versions=(version,),
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        image=IMAGE,
        alphabet=ALPHABET,
        checkpoint="letter.safetensors",
        checkpoint_sha256="0" * 64,
        context_means=(0.5, 1.0),
        calibration=("photo.jpg",),
        macs=1,
        built_with={"lprnet-tvm": "0"},
    )
    return Artifact(path, content, manifest)
