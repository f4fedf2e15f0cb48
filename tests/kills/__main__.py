"""Kill a verb at random moments: `python -m tests.kills --verb build --kills 100`.

Each run is killed by KILL, TERM or INT. Afterwards every file in the output folder is the old one
or the whole new one; no process is left; after TERM and INT nothing else is in the output folder,
and nothing in the folder of temporary files. Every fifth kill is followed by a whole run, which
succeeds and removes what KILL has left. `--seed` is the number of the first kill, so that another
run takes others. `--disk full` and `--disk read-only` put the output on such a disk instead, which
needs root. Prints a line of JSON a verb; exits with 1 for any fault.
"""

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kills.killed_run import Fault, killed_run, refused_run, whole_run
from tests.kills.verbs import VERBS

DISKS = {"full": "size=4k", "read-only": "ro"}
"""Options of their mounts."""
BETWEEN = 5
"""Kills from one whole run to the next."""


def kill_often(name: str, numbers: range, folder: Path) -> Counter[str]:
    """How often what happened. Raises `Fault`, with the number of the kill."""
    verb, happened = VERBS[name], Counter[str]()
    seconds = whole_run(verb, folder)
    for number in numbers:
        rng = random.Random(number)
        if rng.random() < 0.5:  # otherwise there is an old output
            for path in sorted((folder / "out").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        try:
            happened[killed_run(verb, folder, rng, 1.05 * seconds, *verb.again)] += 1
            if number == numbers[-1] or (number + 1) % BETWEEN == 0:
                whole_run(verb, folder, *verb.again)
                happened["whole runs"] += 1
        except Exception as error:
            raise Fault(f"kill {number}: {type(error).__name__}: {error}") from error
    return happened


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--verb", choices=VERBS, action="append", help="default: all")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first kill")
    parser.add_argument("--disk", choices=DISKS)
    options = parser.parse_args()
    failed = False
    for name in options.verb or VERBS:
        with TemporaryDirectory() as place:
            folder = Path(place)
            VERBS[name].prepare(folder)
            try:
                if options.disk:
                    found: object = refused_run(VERBS[name], folder, DISKS[options.disk])
                else:
                    numbers = range(options.seed, options.seed + options.kills)
                    found = kill_often(name, numbers, folder)
            except (Fault, AssertionError) as fault:
                failed, found = True, f"fault: {fault}"
            print(json.dumps({"verb": name, "found": found}), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
