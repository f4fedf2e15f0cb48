"""Machine code for AMX on a CPU with AVX-512 that has none: its tile instructions are answered by a
model (`tile_trap.c`), all others run as they are. A network takes a fifth of a second, a hundredth
of what Bochs needs.

An artifact's dispatch asks the CPU and the system, so its plain function is called
(`Target.function`).
"""

import ctypes
import functools
import tempfile
from pathlib import Path

from lprnet.compiler.targets import Target
from lprnet.compiler.toolchain import run_compiler
from lprnet.runtime.cpu import cpu_flags
from tests.schedules.amx import tile_model

SOURCES = (Path(__file__).with_name("tile_trap.c"), Path(tile_model.__file__).with_suffix(".c"))
ANSWERED = frozenset({"amx_tile", "amx_int8", "amx_bf16", "avx512_fp16"})
"""Features whose instructions are answered; of the last, those that code of ours has."""


def can_answer(target: Target) -> bool:
    """Whether this CPU, with what is answered, runs the code of `target`."""
    flags = cpu_flags()
    return "amx_tile" not in flags and set(target.flags) <= flags | ANSWERED


@functools.cache
def answer_tiles() -> ctypes.CDLL:
    """Answer tile instructions of this process from now on; returns the model, which counts faults
    (`model_faults`) and instructions (`trap_answered`).
    """
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "trap.so")
        flags = ["-shared", "-fPIC", "-O3", "-march=native", "-Wall", "-Werror"]
        run_compiler([*flags, "-o", built, *SOURCES, "-lm"], Path(folder))
        library = ctypes.CDLL(str(built))
    if library.trap_start():
        raise OSError("the system takes no handler of illegal instructions")
    library.trap_answered.restype = ctypes.c_int64
    return library
