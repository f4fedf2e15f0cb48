"""CPU features as bits of the `cpuid` instruction, for `dispatch.c`, which cannot ask Linux.

Bits: Intel 64 Software Developer's Manual, volume 2, CPUID; names as in `/proc/cpuinfo`.
"""

from collections.abc import Iterable

_REGISTERS: tuple[str, ...] = (
    # leaf 1, ecx
    "fma=12 sse4_2=20 movbe=22 popcnt=23 avx=28 f16c=29",
    # leaf 7, ebx
    "bmi1=3 avx2=5 bmi2=8 avx512f=16 avx512dq=17 avx512ifma=21 avx512cd=28 avx512bw=30 avx512vl=31",
    # leaf 7, ecx
    "avx512vbmi=1 avx512_vbmi2=6 gfni=8 avx512_vnni=11 avx512_bitalg=12 avx512_vpopcntdq=14",
    # leaf 7, edx
    "amx_bf16=22 avx512_fp16=23 amx_tile=24 amx_int8=25",
    # leaf 7, subleaf 1, eax
    "avx_vnni=4 avx512_bf16=5",
    # leaf 0x80000001, ecx
    "abm=5",
)
"""In the order in which `dispatch.c` reads them."""


def masks(flags: Iterable[str]) -> tuple[int, ...]:
    """A mask of `flags` for each register that `dispatch.c` reads. Raises `KeyError` for unknown
    flags.
    """
    missing = set(flags)
    registers = []
    for register in _REGISTERS:
        bits = dict(pair.split("=") for pair in register.split())
        registers.append(sum(1 << int(bits[flag]) for flag in missing & set(bits)))
        missing -= set(bits)
    if missing:
        raise KeyError(f"no cpuid bit is known for {', '.join(sorted(missing))}")
    return tuple(registers)
