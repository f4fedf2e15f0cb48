"""Read mutants of image files: `python -m tests.fuzz --count 200000`; exits with 1 for any fault.

Faults are mutants that ended the process, raised anything but `UserError`, or took more than 2
seconds or 300 MB. `--number N --write FILE` writes one mutant out.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.run import run
from tests.fuzz.worker import mutant


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--number", type=int, help="only write this mutant")
    parser.add_argument("--write", type=Path, help="where")
    arguments = parser.parse_args()
    if arguments.number is not None:
        arguments.write.write_bytes(mutant(arguments.number)[1])
        return 0
    result = run(arguments.first, arguments.count, arguments.workers)
    print(json.dumps(result.__dict__, indent=2))
    return int(bool(result.faults))


if __name__ == "__main__":
    sys.exit(main())
