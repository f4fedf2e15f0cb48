"""One shared object out of a program: generated code, and its weights as read-only data."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import tvm

from lprnet.arena import ALIGNMENT
from lprnet.codegen import generate, tvm_target
from lprnet.errors import UserError
from lprnet.merge import RUN, WEIGHTS_SYMBOL, Program
from lprnet.targets import Target

_WEIGHTS_ASSEMBLY = """\
    .section .rodata
    .balign {alignment}
{symbol}_data:
    .incbin "{blob}"
    .text
    .globl {symbol}
    .hidden {symbol}
    .type {symbol}, @function
{symbol}:
    leaq {symbol}_data(%rip), %rax
    ret
    .section .note.GNU-stack, "", @progbits
"""

HEAP = "TVMBackendAllocWorkspace"
"""What libtvm_runtime has and an artifact has not; calling it there would end the process."""


def link(program: Program, target: Target, path: Path) -> None:
    """Compile `program` for `target` and write it as the shared object `path`, all or nothing.

    Needs a C compiler for assembling and linking. Raises `UserError` if there is none, if `path`
    cannot be written, or if the program's kernels need TVM's runtime.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise UserError("No C compiler found; install gcc or clang, or name one in CC.")
    library = generate(tvm.IRModule({RUN: program.function}), tvm_target(target))
    with tempfile.TemporaryDirectory() as scratch:
        blob, source, weights = (Path(scratch, name) for name in ("w.bin", "w.s", "w.o"))
        blob.write_bytes(program.weights)
        source.write_text(
            _WEIGHTS_ASSEMBLY.format(alignment=ALIGNMENT, symbol=WEIGHTS_SYMBOL, blob=blob)
        )
        subprocess.run([compiler, "-c", source, "-o", weights], check=True)
        linked = Path(scratch, "linked.so")
        library.export_library(
            str(linked), addons=[str(weights)], options=["-shared", "-fPIC", "-s"], cc=compiler
        )
        if HEAP.encode() in linked.read_bytes():
            raise UserError(
                f"{path}: kernels without a schedule keep buffers on a heap that only TVM's own "
                "runtime has, so no artifact can hold them; scripts/compare.py times them instead."
            )
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(linked, partial)
            partial.replace(path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); choose another output folder."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
