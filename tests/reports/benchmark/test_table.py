"""A report's cells and findings, its JSON, and its part of the README."""

import contextlib
import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lprnet.reports.benchmark.costs import ColdStart
from lprnet.reports.benchmark.results import Line, Report, read_report
from lprnet.reports.benchmark.table import (
    COLUMNS,
    REMARK_ON_COLD_CALLS,
    REMARK_ON_WARM_CALLS,
    RESULTS,
    SUMMARY,
    cells,
    conditions,
    findings,
    markdown,
    summary,
    terminal,
    update_pages,
)
from lprnet.support.errors import UserError
from tests.conftest import PROJECT
from tests.json_edits import REMOVED, edit, places
from tests.reports.benchmark.reports import line, report

RECORDED = PROJECT / "docs" / "results" / "report.json"


def test_cells() -> None:
    made = report()
    found = dict(zip(COLUMNS, cells(made.lines[0], made), strict=True))
    assert found == {
        "": "base",
        "accuracy %": "89.7",
        "unseen %": "90.0",
        "grammar %": "",
        "agrees %": "91.2",
        "min ms": "0.500",
        "median": "0.550",
        "p95": "0.750",
        "x ours": "2.0",
        "plates/s": "4,000",
        "file KB": "180",
        "start s": "1.50",
        "start CPU s": "",
        "RAM MB": "60",
        "install MB": "50",
    }
    assert [cells(one, made)[0] for one in made.lines[2:]] == ["baseline, our graph", "baseline"]


def test_lines_name_their_code_where_it_differs() -> None:
    first, second, *others = report().lines
    assert "icelake-server code, commit" in conditions(report())
    latency = replace(second.latency, isa="sapphirerapids-amx")
    lines = (first, replace(second, latency=latency), *others)
    changed = replace(report(), lines=lines)
    assert "icelake-server and sapphirerapids-amx code, commit" in conditions(changed)
    named = [cells(one, changed)[0] for one in lines]
    assert named[:2] == ["base (icelake-server)", "all combined (sapphirerapids-amx)"]
    assert named[2] == cells(others[0], report())[0]


def test_a_report_says_what_its_calls_found_in_the_caches() -> None:
    made = report()
    cold, warm = REMARK_ON_COLD_CALLS, REMARK_ON_WARM_CALLS
    assert cold in findings(made)
    assert warm not in findings(made)
    newer = replace(made, lines=tuple(_after_an_uncounted_call(one) for one in made.lines))
    assert warm in findings(newer)
    assert cold not in findings(newer)


def _after_an_uncounted_call(one: Line) -> Line:
    return replace(one, latency=replace(one.latency, calls_before=1))


def test_how_much_of_the_saved_arithmetic_shows_as_latency() -> None:
    """62.5 % fewer; 0.4 to 0.16 ms is 60 % less time, 0.5 to 0.25 ms in the table 50 %."""
    made = report()
    (sentence,) = [one for one in findings(made) if "multiply-accumulates" in one]
    assert sentence == (
        "all combined has 62% fewer multiply-accumulates than base; of that, 96% shows as time "
        "when only these two are timed (0.160 against 0.400 ms), 80% in the table's rounds, "
        "from colder caches."
    )
    assert made.proportion is not None
    warm = replace(made, lines=tuple(_after_an_uncounted_call(one) for one in made.lines))
    assert sentence.replace(", from colder caches", "") in findings(warm)
    nothing_saved = replace(made.proportion, pruned_macs=64_000_000)
    for other in (None, nothing_saved):
        found = findings(replace(made, proportion=other))
        assert sentence not in found
        assert len(found) == len(findings(made)) - 1


def test_a_report_of_one_artifact_has_no_proportion(tmp_path: Path) -> None:
    alone = replace(report(), proportion=None)
    assert read_report(alone.write(tmp_path)) == alone


def test_a_report_survives_json(tmp_path: Path) -> None:
    assert read_report(report().write(tmp_path)) == report()


def test_a_report_that_was_edited_is_shown_or_refused(tmp_path: Path) -> None:
    """Each value of it replaced by each of a dozen others."""
    path = report().write(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    shown = 0
    for place in places(content):
        for value in (REMOVED, None, -1, 0, 1, 10**12, 1.5, True, "", "x", [], {}):
            edited = copy.deepcopy(content)
            edit(edited, place, value)
            path.write_text(json.dumps(edited), encoding="utf-8")
            with contextlib.suppress(UserError):
                made = read_report(path)
                terminal(made)
                findings(made)
                shown += 1
    assert shown > 100


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '"x"', "[" * 9999, '{"lines": 3}', '{"kernels": {}}']
)
def test_what_is_no_report_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"report\.json is no report"):
        read_report(path)


def test_no_baseline_is_ahead() -> None:
    assert findings(report())[0] == "No baseline is ahead of our best line in any column."


def test_a_baseline_that_is_ahead_is_named() -> None:
    made = report()
    quick = replace(line("quick", 0.2, ours=False), start=ColdStart(0.1, 60_000_000))
    found = findings(replace(made, lines=(*made.lines, quick)))
    assert "quick, our graph has lower latency than any of ours." in found
    assert "quick, our graph reads more plates a second than any of ours." in found
    assert "quick, our graph starts sooner than any of ours." in found
    assert not [sentence for sentence in found if "smaller file" in sentence]


def test_without_baselines_none_is_mentioned() -> None:
    made = report()
    found = findings(replace(made, lines=made.lines[:2]))
    assert not [sentence for sentence in found if "aseline" in sentence]


def _page(marks: tuple[str, str], content: str) -> str:
    return "\n".join(["before", marks[0], content, marks[1], "after"])


def _pages(project: Path, readme: str, results: str) -> tuple[Path, Path]:
    """README and results page of `project`, written with these texts."""
    (project / "docs").mkdir()
    pages = project / "README.md", project / "docs" / "results.md"
    for page, text in zip(pages, (readme, results), strict=True):
        page.write_text(text, encoding="utf-8")
    return pages


def test_pages_are_changed_between_their_markers_alone(tmp_path: Path) -> None:
    readme, results = _pages(tmp_path, _page(SUMMARY, "old"), _page(RESULTS, "old"))
    update_pages(report(), tmp_path)
    update_pages(report(), tmp_path)
    assert readme.read_text("utf-8") == _page(SUMMARY, summary(report()))
    assert results.read_text("utf-8") == _page(RESULTS, markdown(report()))


def test_the_summary_has_default_builds_and_the_strongest_line_of_an_engine() -> None:
    made = report()
    lines = (*made.lines, line("MLC, auto", 0.6))
    rows = summary(replace(made, lines=lines)).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:5]] == [
        "base",
        "**all combined**",
        "baseline, our graph",
    ]
    assert rows[5] == ""


def test_lines_of_one_artifact_are_named() -> None:
    made = report()
    base, combined, *baselines = made.lines
    twin = replace(combined, same_as="base")
    sentence, *_ = findings(replace(made, lines=(base, twin, *baselines)))
    assert sentence.startswith("all combined is, byte for byte, the artifact of base")
    assert not any("byte for byte" in sentence for sentence in findings(made))


@pytest.mark.parametrize(
    "text", ["", f"{RESULTS[1]} {RESULTS[0]}", _page(RESULTS, "").replace("end", "END")]
)
def test_pages_without_markers_are_left_alone(text: str, tmp_path: Path) -> None:
    whole = _page(SUMMARY, "old")
    readme, results = _pages(tmp_path, whole, text)
    with pytest.raises(UserError, match="lacks the lines"):
        update_pages(report(), tmp_path)
    assert results.read_text("utf-8") == text
    assert readme.read_text("utf-8") == whole


@pytest.mark.skipif(not RECORDED.is_file(), reason="no measurement is recorded yet")
def test_the_pages_show_the_recorded_measurement(tmp_path: Path) -> None:
    recorded: Report = read_report(RECORDED)
    shown = [PROJECT / "README.md", PROJECT / "docs" / "results.md"]
    texts = [page.read_text(encoding="utf-8") for page in shown]
    copies = _pages(tmp_path, *texts)
    update_pages(recorded, tmp_path)
    assert [copy.read_text(encoding="utf-8") for copy in copies] == texts, (
        "run scripts/report.py --from docs/results/report.json --readme"
    )
