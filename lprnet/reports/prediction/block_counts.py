"""Counts how often each basic block of a kernel runs: adds counters to its assembly and runs it.

LLVM nests, unrolls and fuses loops freely, so counting is the only exact way to get trip counts.
"""

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm

from lprnet.compiler.toolchain import run_compiler

_LABEL = re.compile(r"(?!\.Ltmp|\.Lfunc)[\w.$]+:")
_COUNT = """\
\tleaq -128(%rsp), %rsp
\tpushfq
\tincq .Lcounts+{offset}(%rip)
\tpopfq
\tleaq 128(%rsp), %rsp
"""
_COUNTS = """
\t.bss
\t.balign 8
\t.globl lprnet_counts
lprnet_counts:
.Lcounts:
\t.skip {size}
"""


@dataclass(frozen=True)
class Block:
    """A basic block's instructions, and how often one call runs it."""

    instructions: tuple[str, ...]
    runs: int


def count_blocks(assembly: str, arguments: Sequence[Any], folder: Path) -> list[Block]:
    """The basic blocks of `main` in `assembly` (AT&T syntax) that a call with `arguments` runs.

    This CPU must be able to run them. Temporary files go to `folder`.
    """
    blocks, counted = _instrument(assembly)
    source, library = folder / "counted.s", folder / "counted.so"
    source.write_text(counted)
    run_compiler(["-shared", "-fPIC", "-o", library.name, source.name], folder)
    tvm.runtime.load_module(str(library))["main"](*arguments)
    counts = (ctypes.c_uint64 * len(blocks)).in_dll(ctypes.CDLL(str(library)), "lprnet_counts")
    ran = [Block(tuple(block), runs) for block, runs in zip(blocks, counts, strict=True) if runs]
    source.unlink()
    library.unlink()
    return ran


def _instrument(assembly: str) -> tuple[list[list[str]], str]:
    """The blocks of all code, and the assembly in which block n adds one to counter n.

    A block begins at a label and after a jump. The counter code preserves flags and the red zone.
    """
    blocks: list[list[str]] = []
    lines = []
    in_code, fresh = False, True
    for line in assembly.splitlines():
        word = line.split("#")[0].strip()
        if word.startswith((".text", ".section")):
            in_code = word.startswith(".text") or ".text" in word.split(",")[0]
        if _LABEL.match(line):
            fresh = True
        elif in_code and word and line[0].isspace() and not word.startswith("."):
            if fresh:
                lines.append(_COUNT.format(offset=8 * len(blocks)))
                blocks.append([])
            blocks[-1].append(word)
            fresh = word.startswith(("j", "ret"))
        if not word.startswith((".file", ".loc")):  # for debuggers, in a syntax that GNU as refuses
            lines.append(line)
    return blocks, "\n".join(lines) + _COUNTS.format(size=8 * len(blocks))
