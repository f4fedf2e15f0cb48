"""An engine in another process: what it computes, its own clock, and how it ends."""

import re
import shutil
import signal
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import psutil
import pytest

from lprnet.measure.timing import interleaved_timings
from lprnet.reports.peers import remote_engine
from lprnet.reports.peers.entries import PEERS
from lprnet.reports.peers.environments import REQUIREMENTS
from lprnet.reports.peers.remote_engine import WORKER, RemoteCall, RemoteEngine, convert
from lprnet.support import child_command
from tests.processes import process_group, wait_until, wait_until_gone

PYTHON = Path(sys.executable)
ENGINE = """
from pathlib import Path
import numpy as np

print("a banner on stdout")


def convert(source, target):
    target.write_text(str(len(source.read_bytes())))


def load(file):
    with open(file) as opened:
        factor = np.float32(opened.read())

    def bind(images):
        def infer():
            if images[0, 0, 0, 0] < 0:
                raise ValueError("a negative pixel")
            return images.reshape(len(images), 4, -1) * factor
        return infer

    return bind
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an invented engine makes of an ONNX file of three bytes; it multiplies by three."""
    shutil.copy(WORKER, tmp_path)
    engines = tmp_path / "engines"
    engines.mkdir()
    for name in ("__init__.py", "interface.py"):
        shutil.copy(WORKER.parent / "engines" / name, engines)
    (engines / "times.py").write_text(ENGINE)
    monkeypatch.setattr(remote_engine, "WORKER", tmp_path / "worker.py")
    source, target = tmp_path / "m.onnx", tmp_path / "m.times"
    source.write_bytes(b"123")
    convert(PYTHON, "times", source, target)
    return target


def test_batches_side_by_side(file: Path) -> None:
    engine = RemoteEngine(PYTHON, "times", file)
    one, three = (np.random.default_rng(n).random((n, 2, 2, 3), np.float32) for n in (1, 3))
    calls = {"one": RemoteCall(engine, one), "three": RemoteCall(engine, three)}
    np.testing.assert_array_equal(calls["one"](), one.reshape(1, 4, 3) * 3)
    np.testing.assert_array_equal(calls["three"](), three.reshape(3, 4, 3) * 3)
    samples = interleaved_timings(calls, 4, 1)
    assert all(len(times) == 4 and times.min() > 0 for times in samples.values())


def test_an_error_ends_it_and_says_why(file: Path) -> None:
    engine = RemoteEngine(PYTHON, "times", file)
    call = RemoteCall(engine, np.full((1, 2, 2, 3), -1, np.float32))
    with pytest.raises(RuntimeError, match="a negative pixel"):
        call()
    with pytest.raises(RuntimeError, match="a negative pixel"):
        call.milliseconds()


def test_its_process_ends_with_it(file: Path) -> None:
    engine = RemoteEngine(PYTHON, "times", file)
    process = psutil.Process(engine._process.pid)
    assert process.is_running()
    del engine
    end = time.monotonic() + 60
    while process.is_running() and time.monotonic() < end:
        time.sleep(0.01)
    assert not process.is_running()


HANGS = """
import os, sys, time
from engines.tools import run_tool

def started():
    with open(os.environ["STARTED"], "w") as file:
        file.write(f"{os.getpid()}\\n")

def load(file):
    started()
    time.sleep(600)

def convert(source, target):
    run_tool(["sh", "-c", 'echo $$ > "$STARTED"; exec sleep 600'])
"""
REPORT = """
import sys
from pathlib import Path
from lprnet.reports.peers import remote_engine
from lprnet.support import cli
worker, python, what, source = sys.argv[1:]
remote_engine.WORKER = Path(worker)

def converts():
    remote_engine.convert(Path(python), "hangs", Path(source), Path(source))

def opens():
    remote_engine.RemoteEngine(Path(python), "hangs", Path(source)).ask({"bind": [0]})

cli.run({"converts": converts, "opens": opens}[what])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("what", ["converts", "opens"])
def test_its_process_ends_with_the_report(
    tmp_path: Path, file: Path, number: signal.Signals, what: str
) -> None:
    """And with that process the tool that it converts with."""
    worker = remote_engine.WORKER
    (worker.parent / "engines" / "hangs.py").write_text(HANGS)
    tools = (WORKER.parent / "engines" / "tools.py").read_text()
    wrapper = f"WRAPPER = {str(child_command.WRAPPER)!r}"
    (worker.parent / "engines" / "tools.py").write_text(
        re.sub("^WRAPPER = .*$", wrapper, tools, flags=re.MULTILINE)
    )
    started, said = tmp_path / "started", tmp_path / "said"
    command: list[str | Path] = [sys.executable, "-c", REPORT, worker, PYTHON, what, file]
    with process_group(command, said, {"STARTED": str(started)}) as report:
        wait_until(lambda: started.exists() and "\n" in started.read_text(), report, said)
        report.send_signal(number)
        assert report.wait(60) in (-number, 128 + number)
        wait_until_gone(int(started.read_text()))
    assert "Traceback" not in said.read_text()


def test_the_tools_of_engines_end_as_our_commands_do() -> None:
    spec = spec_from_file_location("tools", WORKER.parent / "engines" / "tools.py")
    assert spec is not None
    assert spec.loader is not None
    tools = module_from_spec(spec)
    spec.loader.exec_module(tools)
    assert tools.WRAPPER == child_command.WRAPPER


def test_what_cannot_be_converted(tmp_path: Path, file: Path) -> None:
    with pytest.raises(RuntimeError, match=r"converts no gone\.onnx: .*No such file"):
        convert(PYTHON, "times", tmp_path / "gone.onnx", tmp_path / "gone.times")


def test_every_engine_has_its_module_and_exact_versions() -> None:
    modules = {path.stem for path in (WORKER.parent / "engines").glob("*.py")}
    assert modules - {"__init__", "interface", "tools"} == {peer.name for peer in PEERS}
    for peer in PEERS:
        packages = exact_versions(peer.name)
        assert {"numpy", "opencv-python-headless"} <= packages
        if peer.converter is not None:
            assert exact_versions(peer.converter) > {"onnx"}


def exact_versions(environment: str) -> set[str]:
    """The packages that an environment lists, each with one exact version."""
    lines = (REQUIREMENTS / f"{environment}.txt").read_text().splitlines()
    assert lines[0].startswith("#")
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(package.count("==") == 1 for package in pinned)
    return {package.split("==")[0] for package in pinned}
