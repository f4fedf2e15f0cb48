"""Commands end with the process that runs them and with the call, and run as they would alone."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lprnet.support import child_command
from lprnet.support.child_command import (
    WRAPPER,
    end_all_commands,
    ended_commands,
    run_command,
    start_command,
)
from tests.processes import process_group, wait_until, wait_until_gone

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
PARENT = """
import sys
from lprnet.support import child_command
from lprnet.support.cli import run
child_command.ENDING = 1.0
run(lambda: child_command.run_command(["sh", "-c", sys.argv[1]]) and 0)
"""
DEAF = "trap '' TERM; echo $$ > started.new; mv started.new started; while :; do sleep 1; done"
TIDY = (
    "trap 'touch tidied; exit' TERM; echo $$ > started.new; mv started.new started; "
    "while :; do sleep 0.05; done"
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("body", [DEAF, TIDY], ids=["deaf", "tidy"])
def test_it_ends_with_the_process_that_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, body: str
) -> None:
    monkeypatch.chdir(tmp_path)
    started, said = tmp_path / "started", tmp_path / "said"
    with process_group([sys.executable, "-c", PARENT, body], said) as process:
        wait_until(started.exists, process, said)
        command = int(started.read_text())
        process.send_signal(number)
        assert process.wait(60) in (-number, 128 + number)
        wait_until_gone(command)
    assert "Traceback" not in said.read_text()
    assert (tmp_path / "tidied").exists() == (body == TIDY and number != signal.SIGKILL)


def test_it_ends_with_the_block() -> None:
    process = start_command(SLEEP)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    with pytest.raises(ZeroDivisionError), ended_commands([process]):
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGTERM
    assert process.stdout.closed


def test_one_that_takes_too_long() -> None:
    before = set(child_command._STARTED)
    with pytest.raises(subprocess.TimeoutExpired):
        run_command(SLEEP, seconds=0.5)
    assert all(one.returncode is not None for one in set(child_command._STARTED) - before)


def test_all_end_at_once() -> None:
    processes = [start_command(SLEEP) for _ in range(3)]
    reader = threading.Thread(target=processes[0].communicate, daemon=True)
    reader.start()
    end_all_commands()
    assert [one.returncode for one in processes] == [-signal.SIGTERM] * 3
    reader.join(60)
    assert not reader.is_alive()


def test_what_it_prints_and_where_it_runs(tmp_path: Path) -> None:
    ran = run_command(["sh", "-c", "pwd; echo $A >&2"], folder=tmp_path, environment={"A": "one"})
    assert (ran.stdout, ran.stderr) == (f"{tmp_path}\n", "one\n")
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run_command(["sh", "-c", "echo broken >&2; exit 3"])
    assert (raised.value.returncode, raised.value.stderr) == (3, "broken\n")


def test_it_ignores_no_signal_that_python_does() -> None:
    ignored = run_command(["grep", "SigIgn", "/proc/self/status"]).stdout.split()[1]
    assert not int(ignored, 16) >> (signal.SIGPIPE - 1) & 1


@pytest.mark.parametrize(("name", "number"), [("/nowhere", errno.ENOENT), ("/", errno.EACCES)])
def test_no_such_command(name: str, number: int) -> None:
    with pytest.raises(OSError, match=name) as raised:
        run_command([name])
    assert raised.value.errno == number


def test_nothing_starts_once_the_parent_has_ended(tmp_path: Path) -> None:
    no_parent = str(os.getpid() + 1)
    wrapped = [sys.executable, "-I", "-S", str(WRAPPER), no_parent]
    command = [*wrapped, "touch", str(tmp_path / "started")]
    assert subprocess.run(command, timeout=60, check=False).returncode == 127
    assert not (tmp_path / "started").exists()
