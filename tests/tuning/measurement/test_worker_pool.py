"""The pool survives calls that crash, hang or raise."""

import ctypes
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lprnet.support.errors import UserError
from lprnet.tuning.measurement.worker_pool import Failure, WorkerPool


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerPool]:
    with WorkerPool(2) as pool:
        yield pool


def behave(how: str) -> object:
    if how == "crash":
        ctypes.string_at(0)
    if how == "hang":
        time.sleep(1000)
    if how == "exit":
        os._exit(3)
    if how == "raise":
        raise ValueError("no")
    return os.getpid()


def test_a_bad_call_does_not_affect_the_others(workers: WorkerPool) -> None:
    calls = ["well", "crash", "well", "hang", "exit", "raise", "well"]
    results = workers.map(behave, [(how,) for how in calls], 2.0)
    good = [isinstance(result, int) for result in results]
    assert good == [how == "well" for how in calls]
    reasons = {
        how: r.reason for how, r in zip(calls, results, strict=True) if isinstance(r, Failure)
    }
    assert reasons["crash"].startswith("its process died with exit code -")
    assert reasons["exit"] == "its process died with exit code 3"
    assert reasons["hang"] == "timed out"
    assert reasons["raise"] == "ValueError: no"


POOL = """
import os
from lprnet.tuning.measurement.worker_pool import WorkerPool
from tests.processes import blocks_interrupts
with WorkerPool(1) as pool:
    ((server,), (process,)) = (pool.map(one, [()], 60.0) for one in (os.getppid, os.getpid))
    print(*map(blocks_interrupts, (server, process, os.getpid())))
"""


def test_processes_and_their_server_never_take_an_interrupt() -> None:
    """Of a terminal, which sends it to all: one that comes while they import is a traceback. In a
    process of its own: here another test may have started the server.
    """
    ran = subprocess.run(
        [sys.executable, "-c", POOL], stdout=subprocess.PIPE, text=True, timeout=300, check=True
    )
    assert ran.stdout == "True True False\n"


def test_processes_live_on_between_calls(workers: WorkerPool) -> None:
    first = set(workers.map(behave, [("well",)] * 8, 5.0))
    second = set(workers.map(behave, [("well",)] * 8, 5.0))
    assert len(first | second) <= 2
    assert os.getpid() not in first


def test_a_stopped_tuner_times_no_call_out(
    workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=100.0)
    monkeypatch.setattr("lprnet.tuning.measurement.worker_pool.time.monotonic", lambda: next(clock))
    (slept,) = workers.map(time.sleep, [(0.2,)], 5.0)
    assert slept is None


def affinity() -> set[int]:
    return os.sched_getaffinity(0)


def test_pinned_to_cores() -> None:
    core = max(os.sched_getaffinity(0))
    with WorkerPool(1, frozenset({core})) as pinned:
        assert pinned.map(affinity, [()], 5.0) == [{core}]


def test_everything_is_imported_before_the_first_call(workers: WorkerPool) -> None:
    (loaded,) = workers.map(loaded_modules, [()], 60.0)
    assert {
        "tvm.s_tir.tensor_intrin",
        "lprnet.compiler.codegen",
        "schedules.dot4_intrinsics",
    } <= loaded
    assert "torch" not in loaded


def loaded_modules() -> set[str]:
    return set(sys.modules)


KILLED = """
import os, signal
from lprnet.tuning.measurement.worker_pool import WorkerPool

if __name__ == "__main__":
    with WorkerPool(1) as pool:
        assert pool.map(os.getpid, [()], 120.0)[0] > 0
        {ending}
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder whose path is short: that of a socket has 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_what_a_killed_process_leaves_goes_with_the_next_one(
    temporary: Path, tmp_path: Path
) -> None:
    """The folder of the sockets, which multiprocessing removes only at an orderly end."""
    script = tmp_path / "script.py"
    runs = []
    for ending in ("os.kill(os.getpid(), signal.SIGKILL)", "pass"):
        script.write_text(KILLED.format(ending=ending))
        environment = {
            **os.environ,
            "TMPDIR": str(temporary),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        runs.append(subprocess.run([sys.executable, script], env=environment, timeout=300))
        assert len(list(temporary.iterdir())) == (runs[-1].returncode != 0)
    assert [done.returncode for done in runs] == [-signal.SIGKILL, 0]


def test_a_folder_too_deep_for_sockets_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.delitem(config, "tempdir", raising=False)
    with pytest.raises(UserError, match="set TMPDIR to a shorter one"):
        WorkerPool(1)
    assert not list(deep.iterdir())
