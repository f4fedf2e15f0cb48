"""Links an artifact: a shared object with a function for each target, the CPU dispatch
(`dispatch.c`) that chooses among them, and the weights as read-only data.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import tvm
from tvm_ffi import libinfo

from lprnet.compiler.aot_function import WEIGHTS_SYMBOL, Program
from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.cpuid import masks
from lprnet.compiler.dump import dump_phase
from lprnet.compiler.targets import Target
from lprnet.compiler.toolchain import run_compiler
from lprnet.runtime.artifact import ALIGNMENT
from lprnet.runtime.manifest import STAMPED
from lprnet.support.errors import UserError
from lprnet.support.scratch_folder import scratch_folder

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

DISPATCH = Path(__file__).with_name("dispatch.c")
NO_LIBC = ("-Os", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only")
"""Flags for C that runs on any x86-64, with an operating system or without."""

SHARED = (
    *("-shared", "-fPIC", "-s", "-nostartfiles"),
    *(
        f"-Wl,{option}"
        for option in (
            "--gc-sections", "--build-id=none", "-z,noseparate-code", "-z,norelro", "-Bsymbolic"
        )
    ),
)  # fmt: skip
"""A shared object without what an artifact does not use: no pages of padding between code,
constants and tables, and no constructors. It calls its own functions, also if another artifact,
whose functions have the same names, was opened with RTLD_GLOBAL before.
"""

EXPORTS = "{ global: __tvm_ffi_run*; __tvm_ffi_code; __tvm_ffi_contract; local: *; };"
"""The exported functions; unused others are dropped."""

DROPPED = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.comment) } } INSERT AFTER .data;"
"""An additional linker script: no exception passes through an artifact, so it needs no unwind
tables.
"""

HEAP = "TVMBackendAllocWorkspace"
"""A function of libtvm_runtime that an artifact does not have; calling it would end the process."""


def link(programs: Mapping[Target, Program], weights: bytes, contract: int = 0) -> bytes:
    """Compile `programs` and return a shared object of them.

    They are ordered from the least demanding target to the most; all of them read `weights`.
    `contract` is what its manifest states (`Manifest.contract`). Raises `UserError` if no C
    compiler works, or if a kernel needs TVM's runtime.
    """
    with scratch_folder() as scratch:
        objects = compile_objects(programs, weights, scratch, contract)
        linked = scratch / "linked.so"
        (scratch / "exports").write_text(EXPORTS)
        (scratch / "dropped").write_text(DROPPED)
        scripts = ("-Wl,--version-script=exports", "-Wl,--script=dropped")
        names = [file.name for file in objects]
        run_compiler([*SHARED, *scripts, "-o", linked.name, *names], linked.parent)
        content = linked.read_bytes()
    if HEAP.encode() in content:
        raise UserError(
            "kernels without a schedule keep buffers on a heap that only TVM's own runtime has, so "
            "no artifact can hold them; lprnet compare times them instead."
        )
    return content


def compile_objects(
    programs: Mapping[Target, Program], weights: bytes, folder: Path, contract: int = 0
) -> tuple[Path, ...]:
    """Compile the object files of an artifact into `folder`.

    Their undefined symbols are functions of libtvm_ffi and of libc. Raises `UserError` if no C
    compiler works.
    """
    objects = []
    for target, program in programs.items():
        for suffix, one in (("", program), (STAMPED, program.stamped)):
            if one is None:
                continue
            module = tvm.IRModule({target.function + suffix: one.function})
            code = generate(module, tvm_target(target))
            objects.append(folder / f"{target.name}{suffix}.o")
            code.mod.write_to_file(str(objects[-1]))
            dump_phase(f"{target.name}{suffix}-assembly.s", partial(code.mod.inspect_source, "asm"))
    blob, source, data = (folder / name for name in ("weights.bin", "weights.s", "weights.o"))
    blob.write_bytes(weights)
    source.write_text(
        _WEIGHTS_ASSEMBLY.format(alignment=ALIGNMENT, symbol=WEIGHTS_SYMBOL, blob=blob.name)
    )
    run_compiler(["-c", source.name, "-o", data.name], folder)
    (folder / "versions.h").write_text(_versions_header(programs, contract))
    dispatch = folder / "dispatch.o"
    includes = ["-I.", *(f"-I{directory}" for directory in libinfo.include_paths())]
    run_compiler(["-c", "-fPIC", *NO_LIBC, *includes, DISPATCH, "-o", dispatch.name], folder)
    return (*objects, data, dispatch)


def _versions_header(programs: Mapping[Target, Program], contract: int) -> str:
    """The header `versions.h`, which tells `dispatch.c` about the target versions."""
    rows, stamped_rows, steps = [], [], 0
    for target, program in programs.items():
        numbers = (*program.logits_shape, program.arena_bytes // 4)
        facts = ", ".join((*map(str, numbers), *(f"{mask:#x}u" for mask in masks(target.flags))))
        rows.append(f"VERSION({target.function}, {facts})")
        if program.stamped is not None:
            stamped_rows.append(f"VERSION({target.function}{STAMPED}, {facts})")
            steps = max(steps, len(program.stamped.steps))
    listed = " \\\n  ".join(("#define VERSIONS", *rows))
    if stamped_rows:
        listed += " \\\n  ".join(("\n#define STAMPED_VERSIONS", *stamped_rows))
        listed += f"\n#define STEPS {steps}"
    if any(target.isa.tiles for target in programs):
        listed += "\n#define TILES"
    least, program = next(iter(programs.items()))
    image = ", ".join(map(str, program.image_shape))
    tiles = ", or this process is given no tile registers (AMX)" if least.isa.tiles else ""
    refusal = f"This CPU cannot run the artifact, which needs {', '.join(least.flags)}{tiles}."
    return (
        f"{listed}\n#define IMAGE {{{image}}}\n#define CONTRACT {contract}\n"
        f'#define CANNOT_RUN "{refusal}"\n'
    )
