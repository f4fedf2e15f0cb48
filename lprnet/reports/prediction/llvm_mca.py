"""Cycles of straight-line code and what limits them, by llvm-mca, LLVM's model of a core.

The model has ports, latencies, widths and queue sizes. It has no caches (every load hits L1), no
branch prediction and no instruction fetch.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lprnet.reports.prediction.block_counts import Block
from lprnet.support.errors import UserError
from schedules.isa import Dot4, Isa

ITERATIONS = 100
LIMIT_THRESHOLD = 0.9
"""A resource that is busy for this share of the time is the limit of a block."""

_FMA = r"vfn?m(?:add|sub)\d+ps"
_DOT_INT8 = {Dot4.AVX2: "vpmaddubsw", Dot4.AVX512BW: "vpmaddubsw", Dot4.AVX512_VNNI: "vpdpbusd"}


class Operands(Enum):
    """What a kernel multiplies."""

    FLOAT32 = "float32"
    INT8 = "int8"
    INT16 = "int16"
    """Multiplied by `schedules/winograd/s16.py`."""


@dataclass(frozen=True)
class Timing:
    """One run of a block in an endless loop."""

    cycles: float
    limit: str
    """A port, `front end`, or `latency` (of dependent instructions)."""


def find_mca() -> str:
    """The newest installed llvm-mca. Raises `UserError` if there is none."""
    for name in (*(f"llvm-mca-{version}" for version in range(24, 13, -1)), "llvm-mca"):
        if found := shutil.which(name):
            return found
    raise UserError("llvm-mca is not installed; it comes with LLVM (Debian: apt install llvm-19).")


def mca_version() -> str:
    """For example `LLVM 19.1.7`."""
    output = subprocess.run([find_mca(), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"LLVM version ([\d.]+)", output.stdout)
    return f"LLVM {found[1]}" if found else "LLVM"


def time_blocks(blocks: Sequence[Sequence[str]], cpu: str) -> list[Timing]:
    """Each block of instructions (AT&T syntax) on LLVM's model of `cpu`."""
    regions = [
        "\n".join((f"# LLVM-MCA-BEGIN {number}", *block, "# LLVM-MCA-END"))
        for number, block in enumerate(blocks)
    ]
    output = subprocess.run(
        [find_mca(), f"-mcpu={cpu}", f"-iterations={ITERATIONS}", "--json"],
        input="\n".join(regions) + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    content = json.loads(output)
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
    if share >= LIMIT_THRESHOLD * cycles:
        return Timing(cycles, name)
    return Timing(cycles, "front end" if width >= LIMIT_THRESHOLD else "latency")


def products(block: Block, isa: Isa, operands: Operands) -> int:
    """How many instructions of `block` multiply and add whole vectors."""
    name = {
        Operands.FLOAT32: _FMA,
        Operands.INT8: _DOT_INT8[isa.dot4],
        Operands.INT16: "vpmaddwd",
    }[operands]
    register = "%zmm" if isa.float_lanes == 16 else "%ymm"
    return sum(
        bool(re.match(name, instruction)) and register in instruction
        for instruction in block.instructions
    )


def peak(isa: Isa, operands: Operands, cpu: str) -> float:
    """The most such instructions a cycle: a loop of independent ones on registers."""
    register = "zmm" if isa.float_lanes == 16 else "ymm"
    alone = operands is Operands.FLOAT32 or isa.dot4 is Dot4.AVX512_VNNI
    accumulators = range(isa.registers - 4) if alone else range(6)
    a, b = (f"%{register}{isa.registers - n}" for n in (1, 2))
    loop = []
    for n in accumulators:
        total, product = f"%{register}{n}", f"%{register}{n + len(accumulators)}"
        if operands is Operands.FLOAT32:
            loop.append(f"vfmadd231ps {a}, {b}, {total}")
        elif isa.dot4 is Dot4.AVX512_VNNI:
            loop.append(f"vpdpbusd {a}, {b}, {total}")
        else:
            if operands is Operands.INT8:
                loop.append(f"vpmaddubsw {a}, {b}, {product}")
            left = product if operands is Operands.INT8 else b
            loop += [f"vpmaddwd {left}, {a}, {product}", f"vpaddd {product}, {total}, {total}"]
    (timing,) = time_blocks([loop], cpu)
    return len(accumulators) / timing.cycles
