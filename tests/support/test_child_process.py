"""Child processes end with their parent, and say how they ended."""

import os
import signal
import subprocess
import sys

from lprnet.support.child_process import end_with_parent, how_it_ended

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
