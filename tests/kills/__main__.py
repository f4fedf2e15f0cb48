"""Kill a verb at random moments: `python -m tests.kills --verb build --kills 100`.

Each run is killed by KILL, TERM or INT. Afterwards every file in the output folder is the old one
or the whole new one; no process is left; after TERM and INT nothing else is in the output folder,
and nothing in the folder of temporary files. The next run succeeds and removes what KILL has left
beside its output. `--full` and `--read-only` put the output on such a disk, which needs root. Exits
with 1 for any fault.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import PROJECT
from tests.kills.verbs import VERBS, Verb

SECONDS = 1800
"""That one run may take."""
ENDING = 30
"""Seconds until no process of a killed run may be left."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Fault(Exception):
    """Something is left that should not be, or lost."""


def start(arguments: list[str], folder: Path, output: Path) -> subprocess.Popen[bytes]:
    """The verb in a process group of its own, its temporary files in `tmp`."""
    (folder / "tmp").mkdir(exist_ok=True)
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "lprnet.commands", *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(PROJECT)},
            start_new_session=True, preexec_fn=listen_to_interrupts,
        )  # fmt: skip


def listen_to_interrupts() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def whole_run(verb: Verb, folder: Path, *more: str) -> float:
    """A run that nobody disturbs; how long it took, in seconds."""
    began, output = time.monotonic(), folder / "said"
    process = start([*verb.arguments(folder), *more], folder, output)
    try:
        code = process.wait(SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if code:
        raise Fault(f"exit code {code}: {output.read_text(errors='replace')[-1500:]}")
    verb.check(folder / "out")
    return time.monotonic() - began


def killed_run(verb: Verb, folder: Path, number: signal.Signals, seconds: float, *more: str) -> str:
    """Kill a run after so many seconds and look at what is left. Returns what happened."""
    process = start([*verb.arguments(folder), *more], folder, folder / "said")
    try:
        with suppress(subprocess.TimeoutExpired):
            return "ended before" if process.wait(seconds) == 0 else "failed before"
        if number == signal.SIGINT:  # of a terminal, which tells the whole group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        code = process.wait(SECONDS)
        wait_for_group(process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    verb.check(folder / "out")
    said = (folder / "said").read_text(errors="replace")
    if "Traceback" in said:
        raise Fault(f"a traceback after {number.name}: {said[-1500:]}")
    if number != signal.SIGKILL:
        if code not in (0, 128 + number, -number):
            raise Fault(f"exit code {code} after {number.name}: {said[-1500:]}")
        left = [*hidden(folder / "out"), *(folder / "tmp").glob("*")]
        if left:
            raise Fault(f"left after {number.name}: {', '.join(map(str, left))}")
    return "killed"


def wait_for_group(group: int) -> None:
    """Raises `Fault` if a process of it is left after a while."""
    end = time.monotonic() + ENDING
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise Fault("a process of the killed run is left")


def hidden(out: Path) -> list[Path]:
    """What no user asked for: hidden names. The lock of a bulk job stays."""
    return [path for path in out.rglob(".*") if path.name != ".lock"]


def kill_often(name: str, kills: int, seed: int, folder: Path) -> Counter[str]:
    """How often what happened. Raises `Fault` or `AssertionError`, with the number of the kill."""
    verb, rng, happened = VERBS[name], random.Random(seed), Counter[str]()
    verb.prepare(folder)
    seconds = whole_run(verb, folder)
    more: tuple[str, ...] = verb.again
    for kill in range(kills):
        number = rng.choice(SIGNALS)
        if rng.random() < 0.5:  # otherwise there is an old output
            for path in sorted((folder / "out").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        try:
            moment = rng.uniform(0, 1.05 * seconds)
            outcome = killed_run(verb, folder, number, moment, *more)
            happened[f"{number.name} {outcome}"] += 1
            if kill % 5 == 4 or kill == kills - 1:
                whole_run(verb, folder, *more)
                happened["whole runs behind"] += 1
                if left := hidden(folder / "out"):
                    raise Fault(f"left after the next run: {', '.join(map(str, left))}")
        except (AssertionError, Fault, Exception) as error:
            raise Fault(f"{name}, seed {seed}, kill {kill}: {error}") from error
    happened["left in the temporary folder"] = len(list((folder / "tmp").glob("*")))
    return happened


def on_a_bad_disk(name: str, option: str, folder: Path) -> str:
    """The sentence of a run whose output is on a full or a read-only disk."""
    verb, out = VERBS[name], folder / "out"
    verb.prepare(folder)
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", out], check=True)
    try:
        process = start(verb.arguments(folder), folder, folder / "said")
        code = process.wait(SECONDS)
        said = (folder / "said").read_text(errors="replace")
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        if code != 2 or len(lines) != 1 or "Traceback" in said:
            raise Fault(f"{name} with {option}: exit code {code}: {said[-1500:]}")
        verb.check(out)
        if left := [*hidden(out), *(folder / "tmp").glob("*")]:
            raise Fault(f"{name} with {option}: left {', '.join(map(str, left))}")
    finally:
        subprocess.run(["umount", out], check=True)
    return lines[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--verb", choices=VERBS, action="append", help="default: all")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    disks = parser.add_mutually_exclusive_group()
    disks.add_argument("--full", action="store_const", const="size=4k", dest="disk")
    disks.add_argument("--read-only", action="store_const", const="ro", dest="disk")
    options = parser.parse_args()
    faults = 0
    for name in options.verb or VERBS:
        with TemporaryDirectory() as folder:
            try:
                if options.disk:
                    said: object = on_a_bad_disk(name, options.disk, Path(folder))
                else:
                    said = kill_often(name, options.kills, options.seed, Path(folder))
                print(json.dumps({"verb": name, "happened": said}), flush=True)
            except Fault as fault:
                faults += 1
                print(json.dumps({"verb": name, "fault": str(fault)}), flush=True)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
