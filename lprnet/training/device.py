"""Where a run computes: the GPU where there is one, and bfloat16 where that is fast."""

import os
from dataclasses import dataclass

import torch

from lprnet.runtime.cpu import cpu_flags, cpu_name


@dataclass(frozen=True)
class Device:
    """A device, and whether matrices are multiplied there in bfloat16."""

    device: torch.device
    bfloat16: bool
    workers: int
    """Processes that render plates beside it."""
    name: str
    """What it is, in words."""

    def autocast(self) -> torch.autocast:
        """Within, convolutions compute in bfloat16 where that is fast."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)


def choose_device() -> Device:
    """CUDA's first GPU, or else the CPU. bfloat16 needs a GPU that has it, or a CPU with AMX or
    AVX-512's products of bfloat16 (a step in half the time on a Zen 5): others would emulate it.
    """
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        name = f"{torch.cuda.get_device_name()} in {_dtype(fast)}"
        workers = max(1, len(os.sched_getaffinity(0)) - 1)
        return Device(torch.device("cuda"), fast, workers, name)
    flags = cpu_flags()
    fast = {"amx_tile", "amx_bf16"} <= flags or "avx512_bf16" in flags
    reason = "the CPU multiplies it" if fast else "the CPU does not multiply bfloat16"
    return Device(torch.device("cpu"), fast, 1, f"{cpu_name()} in {_dtype(fast)}: {reason}")


def _dtype(bfloat16: bool) -> str:
    return "bfloat16" if bfloat16 else "float32"
