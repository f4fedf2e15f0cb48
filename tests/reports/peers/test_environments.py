"""Environments are made once; one that cannot be made leaves nothing."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from lprnet.reports.peers import environments
from lprnet.reports.peers.environments import STAMP, environment
from lprnet.support.errors import UserError


def test_one_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it.txt").write_text("no-such-package==1.0\n")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"it\.txt cannot be installed \(.*no-such-package"):
        environment("it", tmp_path / "made")
    assert not (tmp_path / "made" / "it").exists()


def test_one_that_takes_too_long_is_one_short_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever pip had printed by then."""

    def too_long(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 900.0, stderr=b"WARNING: one\nWARNING: two\n")

    (tmp_path / "it.txt").write_text("a==1\n")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "run_command", too_long)
    with pytest.raises(UserError) as raised:
        environment("it", tmp_path / "made")
    assert str(raised.value) == "it.txt cannot be installed (it took more than 900 seconds)"


def test_a_signal_leaves_nothing_of_one_that_is_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(command: list[str], **_: object) -> None:
        (tmp_path / "made" / "it" / "bin").mkdir(parents=True)
        raise KeyboardInterrupt

    (tmp_path / "it.txt").write_text("a==1\n")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "run_command", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment("it", tmp_path / "made")
    assert not (tmp_path / "made" / "it").exists()


def test_one_of_the_same_requirements_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it.txt").write_text("a==1\n")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "run_command", lambda *_, **__: pytest.fail("made again"))
    place = tmp_path / "made" / "it"
    place.mkdir(parents=True)
    (place / STAMP).write_text(sha256(b"a==1\n" + sys.version.encode()).hexdigest())
    assert environment("it", tmp_path / "made") == place / "bin" / "python"
