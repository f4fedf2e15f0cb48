"""Code that runs in a process of its own with a time limit, for what goes wrong there ends or hangs
it.
"""

import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT

PRELUDE = """
import atexit, os, signal, sys, threading, time
import numpy as np
from lprnet import Recognizer
batch = np.zeros((200, 2, 5, 3), np.uint8)
def right(reader):
    logits = reader.logits(batch)
    return logits.shape == (200, 3, 4) and bool((logits[:, 0, 0] == 9).all())
def ends_well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
def child_is_right(reader):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if right(reader) and right(reader) else 1)
    return ends_well(child)
"""


def run(path: Path, code: str) -> str:
    """What a process prints, which must end by itself and well.

    `sys.argv[1]` is `path`, an artifact that reads the letter A.
    """
    ran = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, path],
        capture_output=True, text=True, cwd=PROJECT, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout
