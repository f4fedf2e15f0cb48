"""Every kind of LPRNet through the whole build: `python -m tests.other_networks RESULTS.jsonl`.

The product of classes, widths, colours, sizes, variants and targets: 160 networks, eight builds of
each, in an order drawn by `--seed`, so that the first networks are a fair sample; `--sample N`
takes N builds. Each is compared with torch (`check.py`). One JSON line a case is appended to
RESULTS; a case that has passed there is not built again, so the command may be ended at any time
and given again. Prints a table at the end, and exits with 1 where a case failed. Set
OMP_NUM_THREADS=1 on a machine that is busy.
"""

import argparse
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.case_results import run_cases
from tests.other_networks.case import CASES, in_order
from tests.other_networks.check import checks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="a file of JSON lines")
    parser.add_argument("--sample", type=int, default=len(CASES), metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chosen = random.Random(options.seed).sample(CASES, options.sample)
    with checks() as made:
        cases = {case.name: partial(made.check, case) for case in in_order(chosen)}
        done = run_cases(options.results, cases)
    Console().print(table(done))
    failed = {name: error for name, error in done.items() if error is not None}
    for name, error in failed.items():
        print(f"{name}: {error}")
    return 1 if failed else 0


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
