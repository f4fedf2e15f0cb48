"""Child processes end with their parent, and say how they ended."""

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pytest

from lprnet.support.child_process import (
    end_with_parent,
    how_it_ended,
    signals_later,
    starting_process,
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_whichever_thread_takes_them(number: signal.Signals) -> None:
    """The kernel gives one to a thread that does not block it, whatever this one blocks."""
    seen: list[str] = []
    done = threading.Event()
    other = threading.Thread(target=done.wait, args=(30,))
    other.start()
    before = signal.signal(number, lambda *_: seen.append("taken"))
    try:
        with signals_later():
            os.kill(os.getpid(), number)
            seen.append("inside")
        assert signal.getsignal(number) is not before
    finally:
        signal.signal(number, before)
        done.set()
        other.join()
    assert seen == ["inside", "taken"]


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals_later():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def _blocked(told: Connection) -> None:
    told.send(signal.pthread_sigmask(signal.SIG_BLOCK, set()))
    take_sigterm()
    told.send(signal.pthread_sigmask(signal.SIG_BLOCK, set()))


def test_a_process_takes_sigterm_when_it_has_started() -> None:
    context = get_context("spawn")
    reading, writing = context.Pipe()
    process = context.Process(target=_blocked, args=(writing,))
    with starting_process():
        process.start()
    assert reading.poll(60)
    assert reading.recv() >= {signal.SIGINT, signal.SIGTERM}
    assert signal.SIGTERM not in reading.recv()
    process.join()
