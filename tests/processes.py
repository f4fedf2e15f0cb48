"""Processes of a test: they end with it, and whatever is waited for has a limit."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 300.0
"""Enough for a process that imports TVM and torch on a machine with other work."""


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


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[bytes], output: Path
) -> None:
    """Return once `condition()` holds.

    Fails the test, with the end of `output`, if `process` ends before that or `SECONDS` pass.
    """
    end = time.monotonic() + SECONDS
    while not condition():
        ended = process.poll() is not None
        if condition():  # it became true between the two looks
            return
        if ended or time.monotonic() > end:
            what = f"ended with exit code {process.returncode}" if ended else "took too long"
            printed = output.read_text(errors="replace")[-2000:]
            raise AssertionError(f"the process {what}: {printed}")
        time.sleep(0.01)
