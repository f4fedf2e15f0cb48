"""A process that fails, prints much or hangs is an error, never a wait without an end."""

import sys
from pathlib import Path

import pytest

from lprnet.reports.benchmark import costs
from lprnet.reports.benchmark.engines import Entry


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("echo broken >&2; exit 3", "broken"),
        ("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 3", "last"),
        ("echo waiting >&2; exec sleep 1000", "waiting"),
    ],
    ids=["fails", "prints a megabyte", "hangs"],
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
    assert [command.pop(2) for command in commands] == ["lprnet", "onnxruntime", "mnn"]
    assert commands[0] == commands[1] == commands[2]
    ours, theirs, elsewhere = (one.start_environment() for one in entries)
    assert "PYTHONDONTWRITEBYTECODE" not in ours
    assert ours == theirs
    assert elsewhere == {**ours, "PYTHONPATH": str(packages)}
