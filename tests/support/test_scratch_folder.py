"""Scratch folders go with their process or, if it was killed, with the next one's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lprnet.support.scratch_folder import PREFIX, scratch_folder
from tests.conftest import PROJECT


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_a_folder_goes_however_its_block_ends(
    tmp_path: Path, failure: type[BaseException] | None
) -> None:
    try:
        with scratch_folder(tmp_path) as folder:
            (folder / "in").mkdir()
            (folder / "in" / "it").write_text("scratch")
            if failure is not None:
                raise failure
    except (ValueError, KeyboardInterrupt):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_has_left_goes_and_nothing_else(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from lprnet.support.scratch_folder import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("scratch")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    command: list[str | Path] = [sys.executable, "-c", code, tmp_path]
    with scratch_folder(tmp_path) as in_use:
        assert subprocess.run(command, cwd=PROJECT, timeout=60, check=False).returncode == -9
        (left,) = {*tmp_path.iterdir()} - {in_use}
        assert (left / "half").exists()
        others = [tmp_path / "tmpabcdef", tmp_path / f"{PREFIX}file", tmp_path / f"{PREFIX}link"]
        others[0].mkdir()
        others[1].write_text("of another")
        others[2].symlink_to(others[0])
        with scratch_folder(tmp_path) as folder:
            assert {*tmp_path.iterdir()} == {in_use, folder, *others}
            assert list(folder.iterdir()) == []
    assert {*tmp_path.iterdir()} == {*others}


def test_a_folder_that_is_taken_for_a_leftover_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, found = os.open, list[Path]()

    def gone(folder: Path, flags: int) -> int:
        found.append(folder)
        descriptor = opened(folder, flags)
        if len(found) == 1:
            folder.rmdir()
        return descriptor

    monkeypatch.setattr("lprnet.support.scratch_folder.os.open", gone)
    with scratch_folder(tmp_path) as folder:
        assert folder == found[1]
        assert list(tmp_path.iterdir()) == [folder]
