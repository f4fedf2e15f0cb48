"""Processes of a test: they end with it, and whatever is waited for has a limit."""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

SECONDS = 300.0
"""Enough for a process that imports TVM and torch on a machine with other work."""


FORKED = multiprocessing.get_context("forkserver")


class Running(Protocol):
    """A process that may have ended."""

    def poll(self) -> int | None:
        """Its exit code, or None."""


@contextmanager
def process_group(
    command: Sequence[str | Path], output: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`command` in a process group of its own, which is killed at the end with all its children.

    What it prints goes to the file `output`, so that it never waits for a reader.
    """
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)


@dataclass(frozen=True)
class Forked:
    """A process of `forked_group`."""

    process: ForkServerProcess

    def poll(self) -> int | None:
        """Its exit code, or None."""
        return self.process.exitcode

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it did not end within `seconds`."""
        self.process.join(seconds)
        return self.process.exitcode


def start_fork_server() -> None:
    """Start the server that the tuner's workers are forked from, unless it runs, with what a whole
    tuner imports in it beside what a worker needs: XGBoost alone takes two seconds a process.
    """
    worker, whole = "lprnet.tuning.measurement.worker_preload", ("lprnet.tuning.tuner", "xgboost")
    FORKED.set_forkserver_preload([worker, *whole])
    multiprocessing.forkserver.ensure_running()


@contextmanager
def forked_group(
    function: Callable[..., object], arguments: tuple[Any, ...], output: Path
) -> Iterator[Forked]:
    """`function(*arguments)` as `process_group` runs a command, in a process that is forked from
    the tuner's server of workers, which has imported TVM: that saves seconds.
    """
    output.write_bytes(b"")
    start_fork_server()
    process = FORKED.Process(target=_in_group, args=(output, function, arguments))
    process.start()
    try:
        yield Forked(process)
    finally:
        process.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join(SECONDS)


def _in_group(output: Path, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    with output.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    function(*arguments)


def wait_until(condition: Callable[[], bool], process: Running, output: Path) -> None:
    """Return once `condition()` holds.

    Fails the test, with the end of `output`, if `process` ends before that or `SECONDS` pass.
    """
    end = time.monotonic() + SECONDS
    while not condition():
        ended = process.poll() is not None
        if condition():  # it became true between the two looks
            return
        if ended or time.monotonic() > end:
            what = f"ended with exit code {process.poll()}" if ended else "took too long"
            printed = output.read_text(errors="replace")[-2000:]
            raise AssertionError(f"the process {what}: {printed}")
        time.sleep(0.01)


def wait_until_gone(process: int) -> None:
    """Return once there is no process of this number, or one that only waits to be collected.

    Fails the test after `SECONDS`.
    """
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "ZX":
            return
        time.sleep(0.01)
    raise AssertionError(f"process {process} is left")


def blocks_interrupts(process: int) -> bool:
    """Whether the main thread of this process blocks SIGINT."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigBlk"))
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)
