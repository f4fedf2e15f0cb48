"""Forks, threads, the end of a process, and a package that is imported meanwhile."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from lprnet.runtime import buffers
from lprnet.runtime.artifact import write_artifact
from lprnet.runtime.recognizer import Recognizer
from tests.conftest import PROJECT
from tests.runtime.own_process import run
from tests.runtime.tiny_artifact import IMAGE, artifact


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = artifact("A", tmp_path_factory.mktemp("letter") / "a.so")
    write_artifact(one)
    return one.path


NOT_FOR_ONE_JPEG = (
    "concurrent.futures",
    "fnmatch",
    "glob",
    "hashlib",
    "importlib.metadata",
    "ipaddress",
    "logging",
    "lprnet.runtime.image_formats.others",
    "lprnet.runtime.image_paths",
    "lprnet.runtime.reading_output",
    "lprnet.support.atomic_file",
    "numpy.typing",
    "pathlib",
    "queue",
    "traceback",
    "tvm_ffi",
    "urllib.parse",
    "zlib",
)
"""What a first read of a JPEG is not to wait for: each takes 0.3 to 6 ms of about 200."""


def test_a_first_read_loads_little(path: Path, tmp_path: Path) -> None:
    """Beside NumPy and OpenCV, which a process that imports them before it reads shows."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(cv2.imencode(".jpg", np.zeros((4, 9, 3), np.uint8))[1].tobytes())
    code = """
import sys, numpy, cv2
before = set(sys.modules)
from lprnet import Recognizer
text = Recognizer(sys.argv[1]).read(sys.argv[2]).text
print(text, *sorted(sys.modules.keys() - before))
"""
    command = [sys.executable, "-S", "-c", code, str(path), str(photo)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=PROJECT, timeout=120, env=environment
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    text, *loaded = ran.stdout.split()
    assert text == "A"
    assert "lprnet.runtime.image_io" in loaded
    assert set(loaded).isdisjoint(NOT_FOR_ONE_JPEG)


def test_the_grammar_is_compiled_when_something_is_read_with_it() -> None:
    code = """
import sys
import numpy as np
from lprnet.runtime.decode import best_plates, greedy

def loaded():
    return sorted(name for name in sys.modules if "grammar" in name or "allowed" in name)

logits = np.zeros((1, 68, 18), np.float32)
greedy(logits)
print(*loaded())
best_plates(logits)
print(*loaded())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, timeout=120
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    package = "lprnet.runtime."
    before, after = ran.stdout.replace(package, "").splitlines()
    assert before == "plate_grammar"
    assert after == "allowed_columns allowed_texts grammar grammar_search plate_grammar"


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


def test_a_child_forked_while_another_thread_imports_opencv(path: Path) -> None:
    """The first read imports it; a child that a lock of that import keeps waiting never ends."""
    code = """
reader = Recognizer(sys.argv[1])
image = batch[0]
first = threading.Thread(target=reader.read, args=(image,))
begun = threading.Event()
def note(event, arguments):
    if event == "import" and arguments[0] == "cv2":
        begun.set()
sys.addaudithook(note)
first.start()
begun.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if reader.read(image).text == "A" else 1)
print(ends_well(child))
first.join()
"""
    assert run(path, code) == "True\n"


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
