"""`lprnet serve --processes`: one port, one core each, one sum of metrics, and a common end."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from lprnet.runtime.artifact import write_artifact
from lprnet.service import processes
from lprnet.service.limits import Limits
from lprnet.service.settings import Settings
from tests.processes import wait_until
from tests.runtime.tiny_artifact import artifact
from tests.service.served import SECONDS, Served, form, picture, served

CORES = os.sched_getaffinity(0)
REQUESTS = 24
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="there is one core")


@pytest.fixture
def pair(letter: Path, tmp_path: Path) -> Iterator[Served]:
    """A service of two processes."""
    with served(letter, tmp_path / "log", "--processes", "2") as one:
        yield one


def workers(server: Served) -> list[int]:
    """The processes that answer."""
    parent = server.process.pid
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in text.split()}
    return [pid for pid, command in commands.items() if b"resource_tracker" not in command]


def ask(server: Served) -> int:
    """The status of a request on a connection of its own; 0 where that was cut."""
    try:
        answer = httpx.post(f"{server.url}/v1/read", files=form(picture()), timeout=SECONDS)
    except httpx.TransportError:
        return 0
    return answer.status_code


def text(server: Served) -> str:
    """What is read on a connection of its own."""
    answer = httpx.post(f"{server.url}/v1/read", files=form(picture()), timeout=SECONDS)
    found: str = answer.json()["images"][0]["text"]
    return found


def test_each_has_a_core_and_metrics_count_all(pair: Served) -> None:
    first, second = workers(pair)
    cores = [os.sched_getaffinity(pid) for pid in (first, second)]
    assert sorted(map(len, cores)) == [1, 1]
    assert cores[0] != cores[1]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(pair), range(REQUESTS))) == {200}
    read = 'lprnet_images_total{outcome="read"}'
    assert {pair.metric(read) for _ in range(8)} == {REQUESTS}
    assert pair.metric("lprnet_queue_images") == 0
    assert pair.metric("process_resident_memory_bytes") > 2e7
    text = httpx.get(f"{pair.url}/metrics", timeout=SECONDS).text
    assert text.count("lprnet_artifact_info{") == 1


def test_one_that_dies_is_replaced(pair: Served) -> None:
    before = workers(pair)
    assert ask(pair) == 200
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(workers(pair)) - {before[0]}) == 2, pair.process, pair.log)
    assert "has ended (by SIGKILL); another takes its place" in pair.log.read_text()
    wait_until(lambda: ask(pair) == 200, pair.process, pair.log)
    assert pair.metric('lprnet_images_total{outcome="read"}') >= 2
    pair.process.send_signal(signal.SIGTERM)
    assert pair.process.wait(SECONDS) == 0


def test_one_that_takes_its_place_reads_with_the_same_artifact(tmp_path: Path) -> None:
    """Whatever has been built there meanwhile: a new artifact is loaded by a restart of all."""
    one = artifact("A", tmp_path / "a.so")
    write_artifact(one)
    with served(one.path, tmp_path / "log", "--processes", "2") as pair:
        write_artifact(artifact("B", one.path))
        before = workers(pair)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: len(found := set(workers(pair))) == 2 and not found & {*before},
            pair.process,
            pair.log,
        )
        wait_until(lambda: ask(pair) == 200, pair.process, pair.log)
        with ThreadPoolExecutor(8) as pool:
            texts = set(pool.map(lambda _: text(pair), range(REQUESTS)))
    assert texts == {"A"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_end_together_and_say_nothing(pair: Served, number: signal.Signals) -> None:
    """SIGINT as a terminal sends it: to every process."""
    both = workers(pair)
    if number == signal.SIGINT:
        os.killpg(pair.process.pid, number)
    else:
        pair.process.send_signal(number)
    assert pair.process.wait(SECONDS) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in both)
    assert "Traceback" not in pair.log.read_text()
    assert "has ended" not in pair.log.read_text()


def test_no_process_outlives_the_parent(pair: Served) -> None:
    both = workers(pair)
    pair.process.kill()
    pair.process.wait(SECONDS)
    end = time.monotonic() + SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in both):
        assert time.monotonic() < end, "a process is left"
        time.sleep(0.01)


def test_more_processes_than_cores_are_refused(letter: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lprnet.commands", "serve", "--artifact", str(letter)]
    ran = subprocess.run(
        [*command, "--port=0", f"--processes={len(CORES) + 1}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert ran.returncode == 2
    assert f"only {len(CORES)} cores may be used" in ran.stderr.splitlines()[-1]


def test_one_that_cannot_start_ends_the_service(
    letter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each child reads the token that the parent has checked: there is none any more."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if any('multiprocessing.spawn' in one for one in sys.orig_argv):\n"
        "    with __import__('contextlib').suppress(OSError): os.unlink(os.environ['GONE'])\n"
    )
    token = tmp_path / "token"
    token.write_text("visible" * 5)
    environment = {**os.environ, "GONE": str(token)}
    environment["PYTHONPATH"] = f"{tmp_path}:{os.environ.get('PYTHONPATH', Path.cwd())}"
    command = [sys.executable, "-m", "lprnet.commands", "serve", "--artifact", str(letter)]
    ran = subprocess.run(
        [*command, "--port=0", "--processes=2", f"--token-file={token}"],
        env=environment, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert ran.returncode == 2
    assert f"{token}: cannot be read" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_a_process_that_ends_before_it_is_told_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by SIGTERM to all: who watches the processes says so."""

    class Gone:
        """A context whose processes never hold their end of a pipe."""

        Pipe = staticmethod(multiprocessing.Pipe)

        def Process(self, **_: object) -> SimpleNamespace:  # noqa: N802
            return SimpleNamespace(start=lambda: None)

    monkeypatch.setattr(processes, "get_context", lambda _: Gone())
    settings = Settings(Path("a.so"), "127.0.0.1", 0, None, 0.0, None, "1", 2)
    with socket.socket() as listener:
        child = processes._start(0, 0, settings, Limits(), listener)
    assert not child.ready
    assert child.said.poll()
