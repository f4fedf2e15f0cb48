"""Rows are built by the script with their flags; refused rows are listed with the reason."""

import sys
from pathlib import Path

import pytest

from lprnet.reports.benchmark.variants import BASE, COMBINED, ROWS, Missing, Row, build_rows

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
    monkeypatch.setattr("lprnet.reports.benchmark.variants.PROJECT", tmp_path)
    build = (sys.executable, str(tmp_path / "lprnet" / "build.py"))
    monkeypatch.setattr("lprnet.reports.benchmark.variants.BUILD", build)
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
    (project / "lprnet" / "other.py").write_text("pass")
    build_rows(checkpoint, None, work, ASKED)
    assert runs(project) == ["static-int8"] * 3
    build_rows(checkpoint, None, work, [Row("static int8", quantized="weights")])
    assert runs(project) == ["static-int8"] * 4


def test_the_table_of_rows() -> None:
    assert {BASE, COMBINED} < {row.name for row in ROWS}
    assert len({row.name for row in ROWS}) == len({row.flags for row in ROWS}) == len(ROWS)
