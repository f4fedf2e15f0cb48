"""What a schedule needs to know of a CPU: its vectors, its registers, how it multiplies bytes."""

from dataclasses import dataclass, replace
from enum import Enum


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
    tiles: bool = False
    """Whether it has tile registers and multiplies bytes in them (AMX, `schedules/amx`)."""
    bfloat16: bool = False
    """Whether it also multiplies bfloat16 in them."""

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
AMX_INT8 = replace(AVX512_VNNI, name="amx_int8", tiles=True)
AMX_BF16 = replace(AMX_INT8, name="amx_bf16", bfloat16=True)
