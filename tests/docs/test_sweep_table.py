"""The table of accuracy against latency in docs/checkpoints.md is that of its record."""

import json
from typing import Any

from tests.conftest import PROJECT

DOCS = PROJECT / "docs"


HEAD = (
    "| MMAC | ms | KB | read | agrees % | keeps % "
    "| trained: MMAC | ms | KB | read | agrees % | keeps % |"
)


def test_the_table_is_the_records() -> None:
    points = json.loads((DOCS / "sweep-zen5-int8.json").read_text(encoding="utf-8"))["points"]
    whole, *pruned = [one for one in points if one["latency"]["variant"] != "fp32"]
    refitted = [one for one in pruned if not one["distilled"]]
    trained = [one for one in pruned if one["distilled"]]
    page = (DOCS / "checkpoints.md").read_text(encoding="utf-8")
    table = page[page.index(HEAD) :].split("\n\n")[0].splitlines()[2:]
    assert len(trained) == 6
    rows = [_row(one, other) for one, other in zip(refitted, trained, strict=True)]
    assert table == [*rows, _row(whole, None)]


def _row(refitted: dict[str, Any], trained: dict[str, Any] | None) -> str:
    cells = [*_cells(refitted), *(_cells(trained) if trained else [""] * 6)]
    return f"| {' | '.join(cells)} |".replace("|  ", "| ")


def _cells(one: dict[str, Any]) -> list[str]:
    return [
        f"{one['macs'] / 1e6:.1f}",
        f"{one['latency']['min_ms']:.3f}",
        f"{one['artifact_bytes'] / 1000:.0f}",
        _right(one),
        _agrees(one),
        _keeps(one),
    ]


def _right(point: dict[str, Any]) -> str:
    return str(point["latency"]["accuracy"]["correct"])


def _agrees(point: dict[str, Any]) -> str:
    same = point["agreement"]
    return f"{100 * same['same'] / same['plates']:.0f}"


def _keeps(point: dict[str, Any]) -> str:
    same = point["agreement"]
    return f"{100 * same['kept'] / same['right']:.0f}"
