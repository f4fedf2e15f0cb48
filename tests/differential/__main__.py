"""Random LPRNets through the compiler: `python -m tests.differential RESULTS.jsonl --count N`.

Cases `--seed` to `--seed` + N, through the passes on graphs or, with `--code`, through generated
code too. Each is compared with torch, in int8 integer by integer (`check.py`). One JSON line a case
is appended to RESULTS; a case that has passed there does not run again. Exits with 1 where a case
failed; a network that the compiler refuses in a sentence counts as failed too.
"""

import argparse
import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.case_results import run_cases
from tests.differential.check import check_code, check_graph
from tests.differential.random_case import RandomCase, random_case

CaseCheck = Callable[[RandomCase, Path], dict[str, float]]


def drawn(check: CaseCheck, number: int, folder: Path) -> dict[str, float]:
    """What `check` measures of case `number`."""
    return check(random_case(number), folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("results", type=Path, help="a file of JSON lines")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first case")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--code", action="store_true", help="generate code and run it")
    options = parser.parse_args()
    check, kind = (check_code, "code") if options.code else (check_graph, "graph")
    numbers = range(options.seed, options.seed + options.count)
    gc.freeze()  # of what is imported nothing ends, and searching it takes a twentieth of a case
    gc.set_threshold(20_000)
    cases = {f"{kind} {number}": partial(drawn, check, number) for number in numbers}
    done = run_cases(options.results, cases)
    failed = {name: error for name, error in done.items() if error is not None}
    print(f"{len(done) - len(failed)} of {len(done)} cases passed")
    for name, error in failed.items():
        print(f"{name}: {error}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
