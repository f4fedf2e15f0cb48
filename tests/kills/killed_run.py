"""One run of a verb: undisturbed, killed, or onto a disk that takes nothing."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from tests.conftest import PROJECT
from tests.kills.verbs import Verb

SECONDS = 1800
"""That one run may take."""
ENDING = 60
"""Seconds until no process of a killed run may be left."""
ENDED = "ended before"
"""What happened to a run that was to be killed later."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TEMPORARY = "tmp"
"""The folder of temporary files of every run, beside `out`."""


class Fault(Exception):
    """Something is left that should not be, or lost."""


def whole_run(verb: Verb, folder: Path, *more: str) -> float:
    """A run that nobody disturbs; what it took of the processor, in seconds.

    Raises `Fault` where it fails, or where anything but its output is left afterwards; as do all
    here. `AssertionError` is the verb's own check.
    """
    process = _start(verb, folder, *more)
    try:
        took = _wait(process, math.inf)
        code = process.wait(SECONDS)
    finally:
        _kill_group(process)
    if code:
        raise Fault(f"a whole run has exit code {code}: {_said(folder)}")
    verb.check(folder / "out")
    _refuse_leftovers(folder, "a whole run")
    return took


def killed_run(verb: Verb, folder: Path, rng: random.Random, longest: float, *more: str) -> str:
    """Kill a run before it has taken `longest` seconds of the processor, and say how. Raises
    `Fault` for what is left.
    """
    number, before = rng.choice(SIGNALS), _leftovers(folder)
    # A terminal tells the whole group; so do timeout(1) and systemd, `kill` and most others do not.
    to_all = number == signal.SIGINT or rng.random() < 0.5
    process = _start(verb, folder, *more)
    try:
        _wait(process, rng.uniform(0, longest))
        if (code := process.poll()) is not None:
            if code:
                raise Fault(f"exit code {code} before it was killed: {_said(folder)}")
            return ENDED
        if to_all:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        code = process.wait(SECONDS)
        _wait_for_group(process.pid)
    finally:
        _kill_group(process)
    verb.check(folder / "out")
    if "Traceback" in _said(folder) and not (number == signal.SIGKILL and _half_started(folder)):
        raise Fault(f"a traceback after {number.name}: {_said(folder)}")
    if number != signal.SIGKILL:
        if code not in (0, 128 + number, -number):
            raise Fault(f"exit code {code} after {number.name}: {_said(folder)}")
        _refuse_leftovers(folder, number.name, before)
    return f"killed by {number.name}{', all' if to_all and number != signal.SIGINT else ''}"


def refused_run(verb: Verb, folder: Path, mount_options: str) -> str:
    """The sentence of a run whose output is on a disk mounted with these options, as root."""
    out = folder / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", mount_options, "tmpfs", out], check=True)
    try:
        process = _start(verb, folder)
        code = process.wait(SECONDS)
        said = _said(folder)
        sentences = [line for line in said.splitlines() if line.startswith("error: ")]
        if code != 2 or len(sentences) != 1 or "Traceback" in said:
            raise Fault(f"exit code {code}: {said}")
        verb.check(out)
        _refuse_leftovers(folder, "the refusal")
        if empty := [path for path in out.rglob("*") if path.is_dir() and not any(path.iterdir())]:
            raise Fault(f"empty folders are left: {', '.join(map(str, empty))}")
    finally:
        subprocess.run(["umount", out], check=True)
    return sentences[0]


def _start(verb: Verb, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """The verb in a process group of its own; what it prints goes to the file `said`."""
    temporary = folder / TEMPORARY
    temporary.mkdir(exist_ok=True)
    with (folder / "said").open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", verb.program, *verb.arguments(folder), *more],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(PROJECT)},
            start_new_session=True,
            preexec_fn=_take_interrupts,
        )


def _wait(process: subprocess.Popen[bytes], seconds: float) -> float:
    """Wait until its process group has taken `seconds` of the processor, or the process has ended;
    what the group took. Time on the clock says nothing on a busy machine.
    """
    took, end = 0.0, time.monotonic() + SECONDS
    while took < seconds and process.poll() is None:
        if time.monotonic() > end:
            raise Fault(f"not ended after {SECONDS} s")
        with suppress(subprocess.TimeoutExpired):  # two processors take 0.2 s in 0.1 s
            process.wait(max(0.02, min(0.2, (seconds - took) / 2)))
        took = max(took, _group_seconds(process.pid))
    return took


def _group_seconds(group: int) -> float:
    """Of the processor, by the processes of a group and by those that they have waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _take_interrupts() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _said(folder: Path) -> str:
    return (folder / "said").read_text(errors="replace")[-1500:]


def _half_started(folder: Path) -> bool:
    """Whether all that was said is of a process that KILL of its parent, which nobody can put off,
    has left half started."""
    said = _said(folder)
    return said.count("Traceback") == said.count("in spawn_main") == said.count("EOFError: Ran out")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(SECONDS)


def _wait_for_group(group: int) -> None:
    """Raises `Fault` if a process of it is left after a while."""
    end = time.monotonic() + ENDING
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise Fault("a process of the killed run is left")


def _leftovers(folder: Path) -> set[Path]:
    """Hidden names in the output, and temporary files. The lock of a bulk job stays."""
    hidden = (path for path in (folder / "out").rglob(".*") if path.name != ".lock")
    return {*hidden, *(folder / TEMPORARY).glob("*"), *(folder / TEMPORARY).glob(".*")}


def _refuse_leftovers(folder: Path, after: str, before: Set[Path] = frozenset()) -> None:
    """Raises `Fault` for any but those of `before`, which a run killed by KILL has left."""
    if left := _leftovers(folder) - before:
        raise Fault(f"left after {after}: {', '.join(map(str, sorted(left)))}")
