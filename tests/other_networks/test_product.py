"""The command of the product: it goes on where it was ended, and counts."""

import json
from pathlib import Path

import pytest

from tests.other_networks import __main__ as command
from tests.other_networks.case import CASES, Case


def test_a_case_that_has_passed_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[str] = []

    def check(case: Case, folder: Path) -> dict[str, float]:
        built.append(case.name)
        if len(built) == 2:
            raise ValueError("broken")
        return {"mmac": 1.0}

    results = tmp_path / "results.jsonl"
    monkeypatch.setattr(command, "check", check)
    monkeypatch.setattr("sys.argv", ["command", str(results), "--sample=3"])
    assert command.main() == 1
    assert f"{built[1]}: ValueError: broken" in capsys.readouterr().out
    assert command.main() == 0
    assert built == [*built[:3], built[1]]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["error"] for line in lines] == [None, "ValueError: broken", None, None]


def test_it_is_the_whole_product() -> None:
    assert len(set(CASES)) == 5 * 4 * 2 * 4 * 4 * 2
