"""A recognizer sent to other processes, called from an event loop, interrupted, and dropped."""

import asyncio
import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from lprnet.compiler.targets import find_target
from lprnet.runtime.artifact import write_artifact
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.runtime.own_process import run
from tests.runtime.tiny_artifact import IMAGE, artifact


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = artifact("A", tmp_path_factory.mktemp("letter") / "a.so")
    write_artifact(one)
    return one.path


def test_pickled_it_is_its_path_threads_and_target(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    reader = Recognizer("a.so", threads=2, target=find_target("native").name)
    content = pickle.dumps(reader)
    assert len(content) < 1000
    monkeypatch.chdir("/")
    for other in (pickle.loads(content), copy.deepcopy(reader)):
        assert other.manifest == reader.manifest
        assert other.target_version == reader.target_version
        assert other.__reduce__() == reader.__reduce__()


def test_another_artifact_in_its_place_is_refused(tmp_path: Path) -> None:
    one = artifact("A", tmp_path / "a.so")
    write_artifact(one)
    content = pickle.dumps(Recognizer(one.path))
    write_artifact(artifact("B", one.path))
    with pytest.raises(UserError, match=r"a\.so: was replaced"):
        pickle.loads(content)
    one.path.unlink()
    with pytest.raises(UserError, match=r"a\.so: there is no such artifact"):
        pickle.loads(content)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_processes_of_multiprocessing_take_it(path: Path, tmp_path: Path, method: str) -> None:
    """`spawn` and `forkserver` import the main module, so it is a file."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import multiprocessing, sys
import numpy as np
from lprnet import Recognizer
def text(reader):
    return reader.read(np.zeros((2, 5, 3), np.uint8)).text
if __name__ == "__main__":
    reader = Recognizer(sys.argv[1], threads=2)
    reader.logits(np.zeros((200, 2, 5, 3), np.uint8))
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        print(pool.map_async(text, [reader] * 4).get(100))
"""
    )
    code = f"""
import subprocess
subprocess.run([sys.executable, {str(program)!r}, sys.argv[1], {method!r}], timeout=110, check=True)
"""
    assert run(path, code) == "['A', 'A', 'A', 'A']\n"


def test_an_event_loop_goes_on_meanwhile(path: Path) -> None:
    reader = Recognizer(path)
    pixels = np.zeros(IMAGE.shape, np.uint8)

    async def read_all() -> list[str]:
        calls = [asyncio.to_thread(reader.read, pixels) for _ in range(64)]
        plates = await asyncio.wait_for(asyncio.gather(*calls), 60)
        return [plate.text for plate in plates]

    assert asyncio.run(read_all()) == ["A"] * 64


def test_interrupted_anywhere_it_reads_on(path: Path) -> None:
    """A signal's exception can come between any two steps of Python. On one core there is one set
    of buffers: a call that loses it, or a lock, leaves all later calls waiting.
    """
    code = """
import random
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
reader = Recognizer(sys.argv[1])
class Stop(Exception): pass
def stop(*_): raise Stop
signal.signal(signal.SIGALRM, stop)
one = batch[:1]
random.seed(0)
stopped = 0
end = time.monotonic() + 60
while stopped < 3000 and time.monotonic() < end:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
        while True:
            reader.logits(one)
    except Stop:
        stopped += 1
answers = []
threads = [threading.Thread(target=lambda: answers.append(right(reader))) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join(30)
print(stopped > 0, answers)
os._exit(0)
"""
    assert run(path, code) == "True [True, True, True, True]\n"


def test_nothing_of_it_stays_when_it_is_dropped(path: Path) -> None:
    code = """
import gc
def held():
    # files, threads, mapped artifacts
    gc.collect()
    return (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), maps()[1])
def maps():
    lines = open("/proc/self/maps").read()
    return lines.count("\\n"), lines.count("memfd:lprnet")
def use():
    reader = Recognizer(sys.argv[1], threads=2)
    assert right(reader) and reader.read(batch[0]).text == "A"
def wait_for(condition):
    end = time.monotonic() + 30  # threads of a pool end a moment later
    while not condition() and time.monotonic() < end: time.sleep(0.05)
threads = held()[1]
use()
wait_for(lambda: held()[1] == threads)
before, lines = held(), maps()[0]
for _ in range(50): use()
wait_for(lambda: held() == before)
print(before[2], held() == before or (before, held()), maps()[0] < lines + 25)
"""
    assert run(path, code) == "0 True True\n"
