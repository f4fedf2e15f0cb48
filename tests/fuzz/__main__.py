"""Read mutants of what users may give: `python -m tests.fuzz --target images --count 200000`.

Exits with 1 for any fault: a mutant that ended the process, raised anything but `UserError`, was
read otherwise than by an independent reader, or took more than 2 seconds of the processor or too
much memory. `--number N --write FILE` writes one mutant out.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.run import run
from tests.fuzz.targets import NAMES, find_target, mutant


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=NAMES, default="images")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first mutant")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--results", type=Path, help="a file of JSON lines; what stands in it is not read again"
    )
    parser.add_argument("--number", type=int, help="only write this mutant")
    parser.add_argument("--write", type=Path, help="where")
    arguments = parser.parse_args()
    if arguments.number is not None:
        arguments.write.write_bytes(mutant(find_target(arguments.target), arguments.number)[1])
        return 0
    result = run(
        arguments.target, arguments.seed, arguments.count, arguments.workers, arguments.results
    )
    print(json.dumps({"target": arguments.target, **result.__dict__}, indent=2))
    return int(bool(result.faults))


if __name__ == "__main__":
    sys.exit(main())
