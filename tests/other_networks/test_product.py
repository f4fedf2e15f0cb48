"""The command of the product: it goes on where it was ended, counts, and shares work."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lprnet.compression.variants import prepare
from tests.other_networks import __main__ as command
from tests.other_networks import shared_work
from tests.other_networks.case import CASES, TARGETS, Case, in_order
from tests.other_networks.check import checks


def test_a_case_that_has_passed_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[str] = []

    def check(case: Case, folder: Path) -> dict[str, float]:
        built.append(case.name)
        if len(built) == 2:
            raise ValueError("broken")
        return {"mmac": 1.0}

    @contextmanager
    def fakes() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(check=check)

    results = tmp_path / "results.jsonl"
    monkeypatch.setattr(command, "checks", fakes)
    monkeypatch.setattr("sys.argv", ["command", str(results), "--sample=3"])
    assert command.main() == 1
    assert f"{built[1]}: ValueError: broken" in capsys.readouterr().out
    assert command.main() == 0
    assert built == [*built[:3], built[1]]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["error"] for line in lines] == [None, "ValueError: broken", None, None]


def test_it_is_the_whole_product() -> None:
    assert len(set(CASES)) == 5 * 4 * 2 * 4 * 4 * 2


def test_cases_of_a_network_are_neighbours() -> None:
    one, other, third = CASES[0], CASES[-1], CASES[1]
    assert in_order([third, other, one]) == [one, third, other]
    assert in_order([other, third, one]) == [other, one, third]


def test_a_network_is_prepared_once_for_both_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[Any] = []

    def counted(*what: Any) -> Any:
        prepared.append(what)
        return prepare(*what)

    monkeypatch.setattr(shared_work, "prepare", counted)
    with checks() as made:
        for target in TARGETS:
            folder = tmp_path / target
            folder.mkdir()
            made.check(Case("11", "x0.5", "grey", "94x24", "weights", target), folder)
            (artifact,) = folder.glob("*.so")
            assert target in artifact.name
    assert len(prepared) == 1
