"""Runs of `python -m tests.kills` that are ended and given again; the kills take hours."""

from pathlib import Path

import pytest

from tests.kills import __main__ as kills
from tests.kills.killed_run import Fault
from tests.kills.verbs import Verb


def test_only_kills_that_have_not_passed_happen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = list[float]()

    def killed_run(verb: Verb, folder: Path, rng: object, longest: float, *more: str) -> str:
        happened.append(longest)
        if len(happened) == 3:
            raise Fault("something is left")
        return "killed by SIGKILL"

    monkeypatch.setattr(kills, "killed_run", killed_run)
    monkeypatch.setattr(kills, "whole_run", lambda *_: 2.0)
    results = tmp_path / "kills.jsonl"
    assert kills.kill_often(results, "report", range(2)) == []
    assert kills.kill_often(results, "report", range(4)) == ["report 2: Fault: something is left"]
    assert kills.kill_often(results, "report", range(4)) == []
    assert happened == [2.1] * 5
    assert kills.what_happened(results, "report") == {"killed by SIGKILL": 4}
