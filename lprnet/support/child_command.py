"""Commands in child processes: none outlives this process or the call that runs it."""

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import IO
from weakref import WeakSet

WRAPPER = Path(__file__).with_name("run_with_parent.py")
ENDING = 10.0
"""Seconds for a command to remove what it has half-written, after SIGTERM; then it is killed."""
KILLING = 10.0
"""Seconds to wait for a killed one; the kernel may keep it longer, and nothing depends on it."""

_STARTED, _LOCK = WeakSet[subprocess.Popen[bytes]](), Lock()


def start_command(
    command: Sequence[str | Path],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start it, in `folder` if given. The kernel kills it when the calling thread ends, and this
    process with it, however that happens; `end_commands` ends it before.

    Raises `OSError` if there is no such command.
    """
    name = str(command[0])
    if shutil.which(name) is None:
        number = errno.EACCES if os.path.exists(name) else errno.ENOENT
        raise OSError(number, os.strerror(number), name)
    wrapped = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), *map(str, command)]
    process = subprocess.Popen(
        wrapped, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, env=environment
    )
    with _LOCK:
        _STARTED.add(process)
    return process


def end_commands(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End those that have not ended, all at once, and close their pipes."""
    try:
        for process in processes:
            process.terminate()
        _wait(processes, ENDING)
    finally:  # also where another signal cuts the wait short
        for process in processes:
            process.kill()
        _wait(processes, KILLING)
        for process in processes:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with suppress(OSError):  # what it was to be sent, nobody reads any more
                        pipe.close()


def _wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    end = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))


def end_all_commands() -> None:
    """End whatever `start_command` has started in this process: threads may wait for it."""
    with _LOCK:
        started = list(_STARTED)
    end_commands(started)


@contextmanager
def ended_commands(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """End `processes`, with those that join the sequence meanwhile, however the block is left."""
    try:
        yield
    finally:
        end_commands(processes)


def run_command(
    command: Sequence[str | Path],
    *,
    seconds: float | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it as `start_command` does, for `seconds` at most; what it printed. It is ended where an
    exception, of Ctrl-C or SIGTERM too, ends this call.

    Raises `OSError` if there is no such command, and `subprocess.SubprocessError` if it fails or
    takes longer.
    """
    process = start_command(command, folder=folder, environment=environment)
    with ended_commands([process]):
        printed, errors = process.communicate(timeout=seconds)
    ended = subprocess.CompletedProcess(
        list(map(str, command)),
        process.returncode,
        printed.decode(errors="replace"),
        errors.decode(errors="replace"),
    )
    ended.check_returncode()
    return ended
