"""The C example, built once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

EXAMPLE = PROJECT / "examples" / "c"


@pytest.fixture(scope="session")
def read_plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`read_plate`, built as its Makefile says, from a copy of the sources."""
    folder = tmp_path_factory.mktemp("c")
    for source in (*EXAMPLE.glob("*.[ch]"), EXAMPLE / "Makefile"):
        (folder / source.name).write_bytes(source.read_bytes())
    command = ["make", "-s", f"PYTHON={sys.executable}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder / "read_plate"
