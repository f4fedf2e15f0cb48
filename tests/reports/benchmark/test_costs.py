"""A process that fails, prints much or hangs is an error, never a wait without an end; a signal
ends what is measured with the report.
"""

import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lprnet.reports.benchmark import costs
from lprnet.reports.benchmark.engines import ENGINES, FIRST_TEXT, Engine, Entry
from lprnet.support.child_command import start_command
from tests.processes import process_group, wait_until, wait_until_gone


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("echo broken >&2; exit 3", "broken"),
        ("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 3", "last"),
        ("echo waiting >&2; exec sleep 1000", "waiting"),
        ("echo waiting >&2; printf 1; exec sleep 1000", "waiting"),
    ],
    ids=["fails", "prints a megabyte", "hangs", "hangs within a line"],
)
def test_a_start_that_fails_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, printed: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(costs, "START_SECONDS", 2.0)
    with pytest.raises(RuntimeError, match=rf"it \({tmp_path}.*\) did not start: [^a-w]*{printed}"):
        costs.cold_start(Entry("it", "lprnet", tmp_path / "it.so"), tmp_path / "photo.jpg")


def test_every_engine_starts_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same program, nothing from the environment but the packages, and bytecode for all."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    packages = tmp_path / "lib" / "python3.99" / "site-packages"
    packages.mkdir(parents=True)
    entries = [
        Entry("ours", "lprnet", tmp_path / "it"),
        Entry("theirs", "onnxruntime", tmp_path / "it"),
        Entry("elsewhere", "mnn", tmp_path / "it", python=tmp_path / "bin" / "python"),
    ]
    commands = [one.start_command(tmp_path / "photo.jpg") for one in entries]
    assert [command.pop(0) for command in commands] == [sys.executable] * 2 + [
        str(tmp_path / "bin" / "python")
    ]
    assert [command.pop(3) for command in commands] == ["lprnet", "onnxruntime", "mnn"]
    assert commands[0] == commands[1] == commands[2]
    ours, theirs, elsewhere = (one.start_environment() for one in entries)
    assert "PYTHONDONTWRITEBYTECODE" not in ours
    assert ours == theirs
    assert elsewhere == {**ours, "PYTHONPATH": str(packages)}


HANGS = """
import os, time

def load(file):
    with open(file, "w") as started:
        started.write(f"{os.getpid()}\\n")
    time.sleep(600)
"""
REPORT = """
import sys
from pathlib import Path
from lprnet.reports.benchmark import costs, engines
from lprnet.support import cli
program, file = map(Path, sys.argv[1:])
engines.FIRST_TEXT = program
cli.run(lambda: costs.cold_start(engines.Entry("it", "hangs", file), file) and 0)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_start_ends_with_the_report(tmp_path: Path, number: signal.Signals) -> None:
    shutil.copy(FIRST_TEXT, tmp_path)
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "hangs.py").write_text(HANGS)
    started, said = tmp_path / "started", tmp_path / "said"
    program = tmp_path / FIRST_TEXT.name
    command: list[str | Path] = [sys.executable, "-c", REPORT, program, started]
    with process_group(command, said) as report:
        wait_until(lambda: started.exists() and "\n" in started.read_text(), report, said)
        report.send_signal(number)
        assert report.wait(60) in (-number, 128 + number)
        wait_until_gone(int(started.read_text()))
    assert "Traceback" not in said.read_text()


def test_a_signal_ends_the_engines_that_threads_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in another process may never answer."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def hangs(file: Path) -> Engine:
        opened.append(start_command(["sleep", "600"]))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        opened[-1].communicate()
        raise RuntimeError("the engine ended")

    opened = list[subprocess.Popen[bytes]]()
    monkeypatch.setitem(ENGINES, "hangs", hangs)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            costs.logits_and_throughput(
                Entry("it", "hangs", tmp_path), np.zeros((2, 24, 94, 3), np.uint8)
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [one.returncode for one in opened] == [-signal.SIGTERM]
