"""Forks, threads, the end of a process, and a package that is imported meanwhile: each in a process
of its own with a time limit, for what goes wrong there ends or hangs it.
"""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lprnet.runtime import buffers
from lprnet.runtime.artifact import write_artifact
from lprnet.runtime.recognizer import Recognizer
from tests.conftest import PROJECT
from tests.runtime.tiny_artifact import IMAGE, artifact

PRELUDE = """
import atexit, os, signal, sys, threading, time
import numpy as np
from lprnet import Recognizer
batch = np.zeros((200, 2, 5, 3), np.uint8)
def right(reader):
    logits = reader.logits(batch)
    return logits.shape == (200, 3, 4) and bool((logits[:, 0, 0] == 9).all())
def child_is_right(reader):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if right(reader) and right(reader) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = artifact("A", tmp_path_factory.mktemp("letter") / "a.so")
    write_artifact(one)
    return one.path


def run(path: Path, code: str) -> str:
    """What a process prints, which must end by itself and well."""
    ran = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, path],
        capture_output=True, text=True, cwd=PROJECT, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_a_child_reads_batches_after_a_fork(path: Path) -> None:
    code = """
reader = Recognizer(sys.argv[1], threads=2)
print(right(reader), child_is_right(reader), right(reader))
"""
    assert run(path, code) == "True True True\n"


def test_a_child_forked_in_the_middle_of_other_threads_calls(path: Path) -> None:
    code = """
reader = Recognizer(sys.argv[1], threads=2)
stop = threading.Event()
def call():
    while not stop.is_set():
        right(reader)
threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads: thread.start()
answers = [child_is_right(reader) for _ in range(20)]
stop.set()
for thread in threads: thread.join()
print(all(answers), right(reader))
"""
    assert run(path, code) == "True True\n"


def test_a_batch_at_exit(path: Path) -> None:
    code = """
reader = Recognizer(sys.argv[1], threads=2)
right(reader)
atexit.register(lambda: print(right(reader)))
"""
    assert run(path, code) == "True\n"


def test_a_batch_after_the_main_thread_ended(path: Path) -> None:
    code = """
reader = Recognizer(sys.argv[1], threads=2)
def later():
    threading.main_thread().join()
    print(right(reader))
threading.Thread(target=later).start()
"""
    assert run(path, code) == "True\n"


def test_nothing_is_hidden_and_neither_package_is_imported(path: Path) -> None:
    """An import of torch in another thread finds torch, at every moment."""
    code = """
hidden = []
def note(event, arguments):
    if event == "import" and sys.modules.get("torch", sys) is None:
        hidden.append(arguments[0])
sys.addaudithook(note)
print(right(Recognizer(sys.argv[1])), hidden)
print(sorted({"torch", "tvm", "tvm_ffi"} & set(sys.modules)))
"""
    assert run(path, code) == "True []\n[]\n"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[buffers.Buffers]:
    """All buffers that are made."""
    found: list[buffers.Buffers] = []

    class Counted(buffers.Buffers):
        def __init__(self, *shapes: object) -> None:
            super().__init__(*shapes)  # type: ignore[arg-type]
            found.append(self)

    monkeypatch.setattr(buffers, "Buffers", Counted)
    return found


@pytest.mark.parametrize("cores", [1, 3])
def test_no_more_buffers_than_cores(
    path: Path, made: list[buffers.Buffers], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    reader = Recognizer(path, threads=4)
    start = threading.Barrier(200)
    batch = np.zeros((130, *IMAGE.shape), np.uint8)

    def call(number: int) -> bool:
        start.wait(60)
        logits = reader.logits(batch[: 1 + number % 130])
        return logits.shape == (1 + number % 130, 3, 4) and bool((logits[:, 0, 0] == 9).all())

    with ThreadPoolExecutor(200) as pool:
        assert all(pool.map(call, range(200)))
    assert 1 <= len(made) <= cores
    assert len(reader._buffers.free) == len(made)
