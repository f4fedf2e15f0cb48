"""Rows are built by the command with their flags; refused rows are listed with the reason; builds
end with the report, and leave an earlier one as it was.
"""

import signal
import sys
from pathlib import Path

import pytest

from lprnet.reports.benchmark.row_builds import build_rows
from lprnet.reports.benchmark.variants import Missing, Row
from tests.processes import process_group, wait_until, wait_until_gone

SCRIPT = """
import sys
from pathlib import Path
flags = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
if flags.get("pruned"):
    sys.exit("building\\nerror: unrecognized arguments: --pruned=" + flags["pruned"])
folder = Path(flags["output"])
folder.mkdir(parents=True)
(folder / "lprnet.so").write_text(" ".join(sys.argv[1:]))
with Path(__file__).with_name("runs").open("a") as runs:
    runs.write(folder.name + "\\n")
"""

ASKED = (Row("static int8", quantized="static"), Row("pruned I", pruned="unstructured"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose build script writes its flags into the artifact."""
    (tmp_path / "lprnet").mkdir()
    (tmp_path / "lprnet" / "build.py").write_text(SCRIPT)
    (tmp_path / "m.pth").write_text("weights")
    monkeypatch.setattr("lprnet.reports.benchmark.row_builds.PROJECT", tmp_path)
    build = (sys.executable, str(tmp_path / "lprnet" / "build.py"))
    monkeypatch.setattr("lprnet.reports.benchmark.row_builds.BUILD", build)
    return tmp_path


def runs(project: Path) -> list[str]:
    return (project / "lprnet" / "runs").read_text().split()


def test_what_can_be_built_and_what_cannot(project: Path) -> None:
    made, missing = build_rows(project / "m.pth", None, project / "work", ASKED)
    assert list(made) == [ASKED[0]]
    assert "--quantized=static" in made[ASKED[0]].read_text()
    assert f"--checkpoint={project / 'm.pth'}" in made[ASKED[0]].read_text()
    reason = "error: unrecognized arguments: --pruned=unstructured"
    assert missing == [Missing("pruned I", reason.removeprefix("error: "))]


def test_unchanged_rows_are_not_built_again(project: Path) -> None:
    checkpoint, work = project / "m.pth", project / "work"
    build_rows(checkpoint, None, work, ASKED)
    build_rows(checkpoint, None, work, ASKED)
    assert runs(project) == ["static-int8"]
    checkpoint.write_text("other weights")
    build_rows(checkpoint, None, work, ASKED)
    assert runs(project) == ["static-int8"] * 2
    build_rows(checkpoint, None, work, [Row("static int8", quantized="weights")])
    assert runs(project) == ["static-int8"] * 3


@pytest.mark.parametrize("source", ["other.py", "widths.json", "trained.safetensors"])
def test_rows_are_built_again_where_what_makes_them_changes(project: Path, source: str) -> None:
    build_rows(project / "m.pth", None, project / "work", ASKED)
    (project / "lprnet" / source).write_text("1")
    build_rows(project / "m.pth", None, project / "work", ASKED)
    assert runs(project) == ["static-int8"] * 2


def test_a_build_that_is_refused_says_nothing(project: Path) -> None:
    (project / "lprnet" / "build.py").write_text("import os; os.abort()")
    _, missing = build_rows(project / "m.pth", None, project / "work", ASKED[:1])
    assert missing == [Missing("static int8", "by SIGABRT")]


def test_a_new_build_takes_the_place_of_the_old(project: Path) -> None:
    """Of one by an earlier version, too, which lay in the folder of the row."""
    row = project / "work" / "static-int8"
    row.mkdir(parents=True)
    (row / "lprnet.so").write_text("an earlier version")
    before, _ = build_rows(project / "m.pth", None, project / "work", ASKED)
    (project / "m.pth").write_text("other weights")
    after, _ = build_rows(project / "m.pth", None, project / "work", ASKED)
    assert before != after
    assert list(row.rglob("*.so")) == list(after.values())
    after[ASKED[0]].unlink()
    assert build_rows(project / "m.pth", None, project / "work", ASKED)[0] == after
    assert after[ASKED[0]].is_file()


HANGS = """
import os, sys, time
from pathlib import Path
(flag,) = (flag for flag in sys.argv if flag.startswith("--output="))
folder = Path(flag.removeprefix("--output="))
folder.mkdir(parents=True)
(folder / "lprnet.so").write_text("half")
started = Path(__file__).with_name("started")
with started.open("a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
REPORT = """
import os, sys
from pathlib import Path
from lprnet.reports.benchmark import row_builds
from lprnet.support import cli
project = Path(sys.argv[1])
row_builds.PROJECT = project
row_builds.BUILD = (sys.executable, str(project / "lprnet" / "build.py"))
os.sched_getaffinity = lambda _: {0, 1}
rows = [row_builds.Row(str(n), quantized="static") for n in range(3)]
cli.run(lambda: row_builds.build_rows(project / "m.pth", None, project / "work", rows) and 0)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_builds_end_with_the_report(project: Path, number: signal.Signals) -> None:
    """What was built before of a row stays; after KILL the next report clears the rest."""
    before, _ = build_rows(project / "m.pth", None, project / "work", [Row("0")])
    (project / "lprnet" / "build.py").write_text(HANGS)
    started, said = project / "lprnet" / "started", project / "said"

    def running() -> list[str]:
        return started.read_text().split() if started.exists() else []

    with process_group([sys.executable, "-c", REPORT, project], said) as report:
        wait_until(lambda: len(running()) == 2, report, said)
        report.send_signal(number)
        assert report.wait(60) in (-number, 128 + number)
        for build in map(int, running()):
            wait_until_gone(build)
    assert len(running()) == 2
    assert "Traceback" not in said.read_text()
    assert before[Row("0")].is_file()
    (project / "lprnet" / "build.py").write_text(SCRIPT)
    if number == signal.SIGKILL:
        build_rows(project / "m.pth", None, project / "work", [Row("0")])
    assert [path.name for path in (project / "work").iterdir()] == ["0"]
    assert len(list((project / "work" / "0").iterdir())) == 1
