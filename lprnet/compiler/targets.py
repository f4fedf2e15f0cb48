"""The CPUs this project compiles for: one table, one row a target."""

from collections.abc import Sequence
from dataclasses import dataclass

from lprnet.runtime.cpu import cpu_flags
from lprnet.support.errors import UserError
from schedules.isa import AMX_BF16 as AMX_BF16_ISA
from schedules.isa import AMX_INT8, AVX2, AVX512, AVX512_VNNI, Isa


def _flags(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_AVX2_FLAGS = _flags("sse4_2 avx avx2 fma f16c bmi1 bmi2 abm movbe popcnt")
_AVX512_FLAGS = _AVX2_FLAGS + _flags("avx512f avx512bw avx512cd avx512dq avx512vl")
_CASCADE_FLAGS = _AVX512_FLAGS + _flags("avx512_vnni")
_ICELAKE_FLAGS = _CASCADE_FLAGS + _flags(
    "avx512vbmi avx512_vbmi2 avx512ifma avx512_bitalg avx512_vpopcntdq gfni"
)
_SAPPHIRE_FLAGS = _ICELAKE_FLAGS + _flags("avx_vnni avx512_bf16 avx512_fp16")
_AMX_FLAGS = _SAPPHIRE_FLAGS + _flags("amx_tile amx_int8")


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

    def runs(self, other: "Target") -> bool:
        """Whether this CPU has every feature that `other`'s code needs: a partial order."""
        return set(self.flags) >= set(other.flags)


TARGETS: tuple[Target, ...] = (
    Target("broadwell", "broadwell", AVX2, _AVX2_FLAGS),
    Target("skylake-avx512", "skylake-avx512", AVX512, _AVX512_FLAGS),
    Target("cascadelake", "cascadelake", AVX512_VNNI, _CASCADE_FLAGS),
    Target("icelake-server", "icelake-server", AVX512_VNNI, _ICELAKE_FLAGS),
    Target("sapphirerapids", "sapphirerapids", AVX512_VNNI, _SAPPHIRE_FLAGS),
)
"""From the least demanding to the most; `native` is the last one the machine can run."""

AMX = Target("sapphirerapids-amx", "sapphirerapids", AMX_INT8, _AMX_FLAGS)
"""Beside VNNI code in an artifact, never alone: an operating system may refuse a process its tile
registers, and then the artifact runs its other code.
"""

AMX_BF16 = Target(
    "sapphirerapids-amx-bf16", "sapphirerapids", AMX_BF16_ISA, (*_AMX_FLAGS, "amx_bf16")
)
"""Alone in an artifact: on vectors bfloat16 is slower than float32."""

TARGET_NAMES: tuple[str, ...] = ("native", *(target.name for target in TARGETS))

PORTABLE = "portable"
"""The name of an artifact that holds a code for each instruction set."""
PORTABLE_TARGETS = ("broadwell", "skylake-avx512", "cascadelake")
"""The least demanding target of each instruction set, so that none is asked for more than it needs;
`AMX` joins them.
"""


def require_cpu(target: Target, remedy: str) -> None:
    """Raise `UserError`, which ends in `remedy`, if this CPU cannot run `target`'s code."""
    missing = sorted(set(target.flags) - cpu_flags())
    if missing:
        raise UserError(
            f"This CPU lacks {', '.join(missing)} and cannot run {target.name} code; {remedy}."
        )


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
    for target in (*TARGETS, AMX, AMX_BF16):
        if target.name == name:
            return target
    raise UserError(f"Unknown target {name!r}; choose one of {', '.join(TARGET_NAMES)}.")


def find_targets(name: str) -> tuple[Target, ...]:
    """What an artifact for `name` holds code for, from the least demanding to the most.

    Raises `UserError` as `find_target` does.
    """
    names = PORTABLE_TARGETS if name == PORTABLE else (name,)
    found = tuple(find_target(name) for name in names)
    return (*found, AMX) if name == PORTABLE or AMX.mcpu in (one.name for one in found) else found


def bf16_targets(name: str) -> tuple[Target, ...]:
    """What an artifact in bf16 for `name` holds code for.

    Raises `UserError` as `find_target` does, and for a target without AMX's tile registers.
    """
    if name == PORTABLE:
        reason = "a portable artifact is for CPUs without them too"
    elif name == "native":
        has = cpu_flags().issuperset(AMX_BF16.flags)
        reason = "" if has else "this CPU has none"
    else:
        reason = "" if find_target(name).mcpu == AMX_BF16.mcpu else f"{name} has none"
    if reason:
        raise UserError(
            f"bf16 needs a CPU that multiplies it in tile registers (AMX), and {reason}; build for "
            f"--target {AMX_BF16.mcpu}, or in float32 or int8."
        )
    return (AMX_BF16,)


def without_tiles(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Those of `targets` whose code uses no tile registers."""
    return tuple(target for target in targets if not target.isa.tiles)


def artifact_target(targets: Sequence[Target]) -> str:
    """What a manifest calls the target of an artifact with code for `targets`."""
    plain = without_tiles(targets)
    if not plain:
        return targets[0].mcpu
    return PORTABLE if len(plain) > 1 else plain[0].name
