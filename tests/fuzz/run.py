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


Found = tuple[list[dict[str, object]], Counter[str]]
"""Faults and counts of a share."""


@dataclass
class Result:
    """What reading the mutants came to; `faults` is empty if all is well."""

    faults: list[dict[str, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def run(
    target: str, first: int, count: int, workers: int = 1, results: Path | None = None
) -> Result:
    """Read mutants `first` to `first + count` of `target` in `workers` processes at a time. A line
    for each share of them is appended to `results`; those that stand there are not read again.
    """
    last = first + count
    shares = [(start, min(start + SHARE, last)) for start in range(first, last, SHARE)]
    done = _read(results, target) if results is not None else {}
    result = Result()
    with ThreadPoolExecutor(workers) as pool:
        missing = [share for share in shares if share not in done]
        found = pool.map(partial(_share, target), missing)
        for share, (faults, counts) in zip(missing, found, strict=True):
            done[share] = faults, counts
            if results is not None:
                line = {"target": target, "share": share, "faults": faults, "counts": counts}
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    for share in shares:
        faults, counts = done[share]
        result.faults += faults
        for name, value in counts.items():
            # A name with a comma is of a largest value, not of a number of files.
            total = result.counts[name]
            result.counts[name] = max(total, value) if "," in name else total + value
    return result


def _read(results: Path, target: str) -> dict[tuple[int, int], Found]:
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {
        (line["share"][0], line["share"][1]): (line["faults"], Counter(line["counts"]))
        for line in lines
        if line["target"] == target
    }


def _share(target: str, share: tuple[int, int]) -> Found:
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
