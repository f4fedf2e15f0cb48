"""The CPUs this project compiles for: one table, one row a target.

Nothing here imports TVM, so the runtime can ask what a CPU has before it loads an artifact.
"""

import platform
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lprnet.support.errors import UserError


class Dot4(Enum):
    """How an instruction set multiplies bytes (`schedules/dot4_intrinsics.py`)."""

    AVX2 = "avx2"
    AVX512BW = "avx512bw"
    AVX512_VNNI = "avx512_vnni"


@dataclass(frozen=True)
class Isa:
    """What a schedule needs to know of an instruction set."""

    name: str
    float_lanes: int
    """float32 elements in one vector register."""
    registers: int
    """Vector registers the compiler can name."""
    fma_latency: int
    """Cycles until a dependent FMA may start; times two ports = accumulators needed."""
    dot4: Dot4

    @property
    def saturates(self) -> bool:
        """Whether it sums products of bytes in pairs of 16 bits
        (`relay_passes/lowering/check_pair_sums.py`).
        """
        return self.dot4 is not Dot4.AVX512_VNNI

    @property
    def vector_bytes(self) -> int:
        return self.float_lanes * 4


AVX2 = Isa("avx2", float_lanes=8, registers=16, fma_latency=5, dot4=Dot4.AVX2)
AVX512 = Isa("avx512", float_lanes=16, registers=32, fma_latency=4, dot4=Dot4.AVX512BW)
AVX512_VNNI = Isa("avx512_vnni", float_lanes=16, registers=32, fma_latency=4, dot4=Dot4.AVX512_VNNI)


def _flags(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_AVX2_FLAGS = _flags("sse4_2 avx avx2 fma f16c bmi1 bmi2 abm movbe popcnt")
_AVX512_FLAGS = _AVX2_FLAGS + _flags("avx512f avx512bw avx512cd avx512dq avx512vl")
_CASCADE_FLAGS = _AVX512_FLAGS + _flags("avx512_vnni")
_ICELAKE_FLAGS = _CASCADE_FLAGS + _flags(
    "avx512vbmi avx512_vbmi2 avx512ifma avx512_bitalg avx512_vpopcntdq gfni"
)
_SAPPHIRE_FLAGS = _ICELAKE_FLAGS + _flags("avx_vnni avx512_bf16 avx512_fp16")


@dataclass(frozen=True)
class Target:
    """One CPU model: how to compile for it and what its code demands of the machine it runs on."""

    name: str
    mcpu: str
    isa: Isa
    flags: tuple[str, ...]
    """`/proc/cpuinfo` flags of every instruction LLVM may choose by itself for this `mcpu`."""

    @property
    def function(self) -> str:
        """The name of its code in an artifact."""
        return f"run_{self.name.replace('-', '_')}"


TARGETS: tuple[Target, ...] = (
    Target("broadwell", "broadwell", AVX2, _AVX2_FLAGS),
    Target("skylake-avx512", "skylake-avx512", AVX512, _AVX512_FLAGS),
    Target("cascadelake", "cascadelake", AVX512_VNNI, _CASCADE_FLAGS),
    Target("icelake-server", "icelake-server", AVX512_VNNI, _ICELAKE_FLAGS),
    Target("sapphirerapids", "sapphirerapids", AVX512_VNNI, _SAPPHIRE_FLAGS),
)
"""From the least demanding to the most; `native` is the last one the machine can run."""

TARGET_NAMES: tuple[str, ...] = ("native", *(target.name for target in TARGETS))

PORTABLE = "portable"
"""The name of an artifact that holds a code for each instruction set."""
PORTABLE_TARGETS = ("broadwell", "skylake-avx512", "cascadelake")
"""The least demanding target of each instruction set, so that none is asked for more than it needs.
"""


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The feature flags of this machine's first CPU, as Linux names them.

    Raises `UserError` where they cannot be read.
    """
    try:
        text = cpuinfo.read_text()
    except OSError as error:
        raise UserError(
            f"{cpuinfo}: cannot read the CPU's features ({error.strerror}); artifacts are built "
            "and run on x86-64 Linux."
        ) from error
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    raise UserError(
        f"{cpuinfo}: lists no x86 feature flags (this machine is {platform.machine()}); artifacts "
        "are built and run on x86-64 Linux."
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's model name for records, or the architecture where Linux does not give one."""
    try:
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def find_target(name: str) -> Target:
    """The row called `name`; `native` is the most demanding row this machine satisfies.

    Raises `UserError` for an unknown name or a machine below AVX2.
    """
    if name == "native":
        flags = cpu_flags()
        for target in reversed(TARGETS):
            if flags.issuperset(target.flags):
                return target
        missing = ", ".join(sorted(set(TARGETS[0].flags) - flags))
        raise UserError(f"This CPU lacks {missing}; every target needs at least AVX2 and FMA.")
    for target in TARGETS:
        if target.name == name:
            return target
    raise UserError(f"Unknown target {name!r}; choose one of {', '.join(TARGET_NAMES)}.")


def find_targets(name: str) -> tuple[Target, ...]:
    """What an artifact for `name` holds code for, from the least demanding to the most.

    Raises `UserError` as `find_target` does.
    """
    names = PORTABLE_TARGETS if name == PORTABLE else (name,)
    return tuple(find_target(name) for name in names)
