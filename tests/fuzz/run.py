"""Share mutants out to processes that may die, and start those anew behind the fatal one."""

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHARE = 5_000
"""Mutants a process reads."""


@dataclass
class Result:
    """What reading the mutants came to; `faults` is empty if all is well."""

    faults: list[dict[str, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def run(target: str, first: int, count: int, workers: int = 1) -> Result:
    """Read mutants `first` to `first + count` of `target` in `workers` processes at a time."""
    shares = [
        (start, min(start + SHARE, first + count)) for start in range(first, first + count, SHARE)
    ]
    result = Result()
    with ThreadPoolExecutor(workers) as pool:
        for faults, counts in pool.map(partial(_share, target), shares):
            result.faults += faults
            for name, value in counts.items():
                most = "," in name  # a largest value, not a number of files
                result.counts[name] = (
                    max(result.counts[name], value) if most else (result.counts[name] + value)
                )
    return result


def _share(target: str, share: tuple[int, int]) -> tuple[list[dict[str, object]], Counter[str]]:
    first, last = share
    faults, counts = list[dict[str, object]](), Counter[str]()
    with tempfile.NamedTemporaryFile() as file:
        while first < last:
            file.seek(0)
            file.write(struct.pack("<q", first))
            file.flush()
            arguments = [target, str(first), str(last), file.name]
            process = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.worker", *arguments],
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                check=False,
            )
            for line in process.stdout.splitlines():
                found = json.loads(line)
                if "counts" in found:
                    counts.update(found["counts"])
                else:
                    faults.append(found)
            if process.returncode >= 0:
                process.check_returncode()
                break
            (fatal,) = struct.unpack("<q", Path(file.name).read_bytes())
            faults.append({"ended": fatal, "exit code": process.returncode})
            first = fatal + 1
    return faults, counts
