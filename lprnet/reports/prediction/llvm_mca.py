"""What llvm-mca, LLVM's model of a core, says of straight-line code: cycles and what limits them.

The model knows ports, latencies, widths and the size of its queues. It knows no caches (every load
takes the time of a hit in the first), no branch prediction and no fetching of instructions.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lprnet.compiler.targets import Dot4, Isa
from lprnet.reports.prediction.block_counts import Block
from lprnet.support.errors import UserError

ITERATIONS = 100
NEAR = 0.9
"""A resource that is busy for this share of the time is what limits a block."""

_FMA = r"vfn?m(?:add|sub)\d+ps"
_BYTES = {Dot4.AVX2: "vpmaddubsw", Dot4.AVX512BW: "vpmaddubsw", Dot4.AVX512_VNNI: "vpdpbusd"}


class Operands(Enum):
    """What a kernel multiplies."""

    FLOATS = "float32"
    BYTES = "bytes"
    WORDS = "16-bit words"
    """As `schedules/winograd/s16.py` does."""


@dataclass(frozen=True)
class Timing:
    """One run of a block, in a loop that runs it again and again."""

    cycles: float
    limit: str
    """The port, the front end, or the latency of what depends on each other."""


def find_mca() -> str:
    """The newest llvm-mca here. Raises `UserError` if there is none."""
    for name in (*(f"llvm-mca-{version}" for version in range(24, 13, -1)), "llvm-mca"):
        if found := shutil.which(name):
            return found
    raise UserError("llvm-mca is not installed; it comes with LLVM (Debian: apt install llvm-19).")


def mca_version() -> str:
    """Such as `LLVM 19.1.7`."""
    told = subprocess.run([find_mca(), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"LLVM version ([\d.]+)", told.stdout)
    return f"LLVM {found[1]}" if found else "LLVM"


def time_blocks(blocks: Sequence[Sequence[str]], cpu: str) -> list[Timing]:
    """Each block of instructions (AT&T syntax) on LLVM's model of `cpu`."""
    regions = [
        "\n".join((f"# LLVM-MCA-BEGIN {number}", *block, "# LLVM-MCA-END"))
        for number, block in enumerate(blocks)
    ]
    told = subprocess.run(
        [find_mca(), f"-mcpu={cpu}", f"-iterations={ITERATIONS}", "--json"],
        input="\n".join(regions) + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    content = json.loads(told)
    resources = content["TargetInfo"]["Resources"]
    return [_timing(region, resources) for region in content["CodeRegions"]]


def _timing(region: dict[str, dict[str, object]], resources: list[str]) -> Timing:
    summary: dict[str, float] = region["SummaryView"]  # type: ignore[assignment]
    cycles = summary["TotalCycles"] / summary["Iterations"]
    pressure: list[dict[str, float]] = region["ResourcePressureView"]["ResourcePressureInfo"]  # type: ignore[assignment]
    whole = max((row["InstructionIndex"] for row in pressure), default=0)
    busy = {
        resources[int(row["ResourceIndex"])]: row["ResourceUsage"]
        for row in pressure
        if row["InstructionIndex"] == whole
    }
    width = summary["uOpsPerCycle"] / summary["DispatchWidth"]
    name, share = max(busy.items(), key=lambda item: item[1], default=("", 0.0))
    if share >= NEAR * cycles:
        return Timing(cycles, name)
    return Timing(cycles, "front end" if width >= NEAR else "latency")


def products(block: Block, isa: Isa, operands: Operands) -> int:
    """Vector instructions of one run of `block` that multiply and add whole vectors."""
    name = {
        Operands.FLOATS: _FMA,
        Operands.BYTES: _BYTES[isa.dot4],
        Operands.WORDS: "vpmaddwd",
    }[operands]
    register = "%zmm" if isa.float_lanes == 16 else "%ymm"
    return sum(
        bool(re.match(name, instruction)) and register in instruction
        for instruction in block.instructions
    )


def peak(isa: Isa, operands: Operands, cpu: str) -> float:
    """The most of these a cycle: a loop of nothing else, on registers that do not wait."""
    register = "zmm" if isa.float_lanes == 16 else "ymm"
    alone = operands is Operands.FLOATS or isa.dot4 is Dot4.AVX512_VNNI
    accumulators = range(isa.registers - 4) if alone else range(6)
    a, b = (f"%{register}{isa.registers - n}" for n in (1, 2))
    loop = []
    for n in accumulators:
        total, product = f"%{register}{n}", f"%{register}{n + len(accumulators)}"
        if operands is Operands.FLOATS:
            loop.append(f"vfmadd231ps {a}, {b}, {total}")
        elif isa.dot4 is Dot4.AVX512_VNNI:
            loop.append(f"vpdpbusd {a}, {b}, {total}")
        else:
            if operands is Operands.BYTES:
                loop.append(f"vpmaddubsw {a}, {b}, {product}")
            left = product if operands is Operands.BYTES else b
            loop += [f"vpmaddwd {left}, {a}, {product}", f"vpaddd {product}, {total}, {total}"]
    (timing,) = time_blocks([loop], cpu)
    return len(accumulators) / timing.cycles
