"""Every kind of LPRNet through the whole build: `python -m tests.other_networks RESULTS.jsonl`.

The product of classes, widths, colours, sizes, variants and targets, 1,280 builds, in an order
drawn by `--seed`, so that the first of them are a fair sample; `--sample N` takes N. Each is
compared with torch (`case.py`). One JSON line a case is appended to RESULTS; a case that has passed
there is not built again, so the command may be ended at any time and given again. Prints a table at
the end, and exits with 1 where a case failed. Set OMP_NUM_THREADS=1 on a machine that is busy.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from tests.other_networks.case import CASES, Case, check


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="a file of JSON lines")
    parser.add_argument("--sample", type=int, default=len(CASES), metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results: Path = options.results
    done = read(results)
    chosen = random.Random(options.seed).sample(CASES, options.sample)
    with results.open("a", encoding="utf-8") as file:
        for case in tqdm(chosen, unit="build"):
            if done.get(case.name, "failed") is None:
                continue
            error, measured = outcome(case)
            done[case.name] = error
            line = {"case": case.name, "error": error, **measured}
            file.write(json.dumps(line) + "\n")
            file.flush()
    Console().print(table(done))
    failed = {name: error for name, error in done.items() if error is not None}
    for name, error in failed.items():
        print(f"{name}: {error}")
    return 1 if failed else 0


def read(results: Path) -> dict[str, str | None]:
    """The last error of every case in `results`, None for a case that passed."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {line["case"]: line["error"] for line in lines}


def outcome(case: Case) -> tuple[str | None, dict[str, float]]:
    """The error that ended the case, and what was measured, its CPU seconds among it."""
    began, error = time.process_time(), None
    measured: dict[str, float] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            measured = check(case, Path(folder))
    except Exception as caught:
        traceback.print_exc()
        error = f"{type(caught).__name__}: {caught}"
    return error, {"cpu_seconds": round(time.process_time() - began, 1), **measured}


def table(done: dict[str, str | None]) -> Table:
    """Of each value of each dimension, how many cases passed of how many that ran."""
    ran, passed = Counter[str](), Counter[str]()
    names = {case.name: case for case in CASES}
    for name, error in done.items():
        values = [f"{key}: {value}" for key, value in vars(names[name]).items()]
        ran.update(["all", *values])
        passed.update(["all", *values] if error is None else [])
    rows = Table("cases", "passed", "ran", title=f"{len(done)} of {len(CASES)} cases")
    for value in ("all", *sorted(set(ran) - {"all"})):
        rows.add_row(value, str(passed[value]), str(ran[value]))
    return rows


if __name__ == "__main__":
    sys.exit(main())
