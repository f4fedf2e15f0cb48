"""What a killed process has left beside a file goes with the next write of that file."""

import os
import subprocess
import sys
from pathlib import Path

from lprnet.support.atomic_file import atomic_write
from tests.conftest import PROJECT


def test_only_its_own_leftovers_are_removed(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from lprnet.support.atomic_file import atomic_write
with atomic_write(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "a[1].so"
    command: list[str | Path] = [sys.executable, "-c", code, path]
    assert subprocess.run(command, cwd=PROJECT, timeout=60, check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    place, _ = left.name.removeprefix(".a[1].so.").split("-")
    others = [
        tmp_path / f".a[1].so.{place}-{os.getppid()}.partial",
        tmp_path / f".a[1].so.{place}-mine.partial",
        tmp_path / left.name.replace(place, "01234567"),  # of another container
        tmp_path / left.name.replace("a[1]", "a1"),
    ]
    for other in others:
        other.write_text("of another")
    with atomic_write(path) as partial:
        partial.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
    assert path.read_text() == "whole"
