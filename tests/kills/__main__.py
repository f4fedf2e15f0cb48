"""Kill a verb at random moments: `python -m tests.kills RESULTS.jsonl --verb build --kills 100`.

Each run is killed by KILL, TERM or INT; INT and half of the others go to its whole process group.
Afterwards every file in the output folder is the old one or the whole new one; no process is left;
after TERM and INT nothing else is in the output folder, and nothing in the folder of temporary
files. Every fifth kill is followed by a whole run, which succeeds and removes what KILL has left.
One JSON line a kill is appended to RESULTS; a kill that has passed there does not happen again.
`--seed` is the number of the first kill, so that another run takes others. `--disk full` and
`--disk read-only` put the output on such a disk instead, which needs root. Prints what happened how
often; exits with 1 for any fault.
"""

import argparse
import json
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.case_results import read_results, run_cases
from tests.kills.killed_run import ENDED, killed_run, refused_run, whole_run
from tests.kills.verbs import VERBS, Verb

DISKS = {"full": "size=4k", "read-only": "ro"}
"""Options of their mounts."""
BETWEEN = 5
"""Kills from one whole run to the next."""
WHOLE = "whole"
"""A file beside `out`: the last run was not killed."""


def kill_often(results: Path, name: str, numbers: range) -> list[str]:
    """Those of `numbers` that have not passed in the file `results` yet; the errors of all."""
    verb, cases = VERBS[name], {f"{name} {number}": number for number in numbers}
    done = read_results(results)
    if all(done.get(case, "missing") is None for case in cases):
        return []
    with TemporaryDirectory() as place:
        folder = Path(place)
        verb.prepare(folder)
        longest = 1.05 * whole_run(verb, folder)
        (folder / WHOLE).touch()
        kills = {
            case: partial(kill, verb, number, longest, folder) for case, number in cases.items()
        }
        done = run_cases(results, kills)
        whole_run(verb, folder, *verb.again)
    return [f"{case}: {done[case]}" for case in cases if done[case] is not None]


def kill(verb: Verb, number: int, longest: float, folder: Path, _empty: Path) -> dict[str, object]:
    """Kill `number`, within `longest` seconds of the processor; what happened. Raises `Fault`."""
    rng, whole = random.Random(number), folder / WHOLE
    nothing_to_do = verb.goes_on and whole.exists()
    if rng.random() < 0.5 or nothing_to_do:  # otherwise there is an old output
        for path in sorted((folder / "out").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    whole.unlink(missing_ok=True)
    happened = killed_run(verb, folder, rng, longest, *verb.again)
    if again := (number + 1) % BETWEEN == 0:
        whole_run(verb, folder, *verb.again)
    if again or happened == ENDED:
        whole.touch()
    return {"happened": happened, "whole runs": int(again)}


def what_happened(results: Path, name: str) -> Counter[str]:
    """To this verb, over all lines of the file."""
    lines = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    of_verb = [line for line in lines if line["case"].split()[0] == name and not line["error"]]
    return Counter(line["happened"] for line in of_verb)


def fill_disk(name: str, disk: str, _empty: Path) -> dict[str, object]:
    """The sentence with which the verb refuses such a disk. Raises `Fault`."""
    with TemporaryDirectory() as place:
        VERBS[name].prepare(Path(place))
        return {"happened": refused_run(VERBS[name], Path(place), DISKS[disk])}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("results", type=Path, help="a file of JSON lines")
    parser.add_argument("--verb", choices=VERBS, action="append", help="default: all")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first kill")
    parser.add_argument("--disk", choices=DISKS)
    options = parser.parse_args()
    errors = list[str]()
    for name in options.verb or VERBS:
        if options.disk:
            check = partial(fill_disk, name, options.disk)
            done = run_cases(options.results, {f"{name} {options.disk}": check})
            errors += [error for error in done.values() if error]
        else:
            numbers = range(options.seed, options.seed + options.kills)
            errors += kill_often(options.results, name, numbers)
        print(json.dumps({"verb": name, "happened": what_happened(options.results, name)}))
    for error in errors:
        print(error)
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
