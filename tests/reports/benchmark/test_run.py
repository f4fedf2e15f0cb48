"""A report that cannot be made says so in a sentence, and before minutes of work if it can."""

from pathlib import Path

import pytest

from lprnet.commands.dispatch import execute
from lprnet.reports.benchmark import run as benchmark
from lprnet.reports.benchmark.run import ReportOptions, run_benchmark
from lprnet.reports.benchmark.variants import Missing
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.fuzz.checkpoints import CORPUS


def test_no_row_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was `min() arg is an empty sequence`, after three minutes."""
    refused = [Missing("base", "no C compiler found")]
    monkeypatch.setattr(benchmark, "build_rows", lambda *_: ({}, refused))
    options = ReportOptions(DEFAULT_CHECKPOINT, None, None, 1, tmp_path)
    with pytest.raises(UserError, match="no row of ours could be built; base: no C compiler"):
        run_benchmark(options)


def test_a_work_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = ReportOptions(DEFAULT_CHECKPOINT, None, None, 1, tmp_path / "file" / "work")
    with pytest.raises(UserError, match="cannot be written"):
        run_benchmark(options)


def test_a_network_of_another_alphabet(tmp_path: Path) -> None:
    """It was a sentence about logits, after everything had been measured."""
    options = ReportOptions(CORPUS / "narrow.safetensors", None, None, 2, tmp_path / "work")
    with pytest.raises(UserError, match=r"narrow\.safetensors does not read China's plates"):
        run_benchmark(options)
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_has_no_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lprnet.reports.benchmark.variants.PROJECT", tmp_path)
    with pytest.raises(UserError, match="--readme changes a checkout"):
        execute(["report", "--readme", f"--work={tmp_path / 'work'}"])
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_is_not_whole_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that was killed while it wrote would have left the next one half a plate."""

    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        seen.append(sorted(one.suffix for one in path.parent.iterdir()))
        raise KeyboardInterrupt

    seen = list[list[str]]()
    monkeypatch.setattr(Path, "write_bytes", half)
    options = ReportOptions(DEFAULT_CHECKPOINT, None, None, 1, tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(options)
    assert seen == [[".partial"]]
    assert list(tmp_path.iterdir()) == []
