"""Child processes end with their parent, and say how they ended."""

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext

import pytest

from lprnet.support.child_process import (
    end_with_parent,
    how_it_ended,
    signals_later,
    take_sigterm,
)

PARENT = """
import os, signal, sys, time
from lprnet.support.child_process import end_with_parent
parent, (reading, writing) = os.getpid(), os.pipe()
child = os.fork()
if child == 0:
    os.write(writing, b"1" if end_with_parent(signal.SIGKILL, parent) else b"0")
    time.sleep(60)
assert os.read(reading, 1) == b"1"
print(child, flush=True)
os._exit(0)
"""


def test_a_child_ends_with_its_parent() -> None:
    """It holds the other end of the pipe, which closes when it has ended."""
    ran = subprocess.run(
        [sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=30, check=True
    )
    assert int(ran.stdout) > 0


def test_a_process_whose_parent_is_gone_is_told() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = end_with_parent(signal.SIGTERM, parent=os.getppid() + 1)
        os.write(writing, str(told).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"False"


def test_how_it_ended() -> None:
    assert how_it_ended(-signal.SIGSEGV) == "by SIGSEGV"
    assert how_it_ended(3) == "exit code 3"


def _blocked(told: Connection) -> None:
    told.send(signal.pthread_sigmask(signal.SIG_BLOCK, set()))
    take_sigterm()
    told.send(signal.pthread_sigmask(signal.SIG_BLOCK, set()))


@pytest.mark.parametrize("context", [get_context("spawn"), get_context("forkserver")])
def test_a_process_takes_sigterm_when_it_has_started(
    context: SpawnContext | ForkServerContext,
) -> None:
    reading, writing = context.Pipe()
    process = context.Process(target=_blocked, args=(writing,))
    with signals_later():
        process.start()
    assert reading.poll(60)
    assert reading.recv() >= {signal.SIGINT, signal.SIGTERM}
    assert signal.SIGTERM not in reading.recv()
    process.join()
