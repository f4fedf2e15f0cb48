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
