"""A page of a report: made from the record, so that one can be compared with the other."""

import re
from pathlib import Path

import pytest

from lprnet.commands import main
from lprnet.reports.benchmark.page import results_page, write_results_page
from lprnet.reports.benchmark.results import read_report
from lprnet.reports.benchmark.table import markdown
from lprnet.support.errors import UserError
from tests.conftest import PROJECT
from tests.reports.benchmark.reports import report

RECORDS = sorted((PROJECT / "docs" / "results").glob("*/report.json"))
"""One a machine; `docs/results-NAME.md` is the page of `docs/results/NAME/report.json`."""


def lprnet_report(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["lprnet", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_makes_record_pictures_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report().write(tmp_path)
    page, output = tmp_path / "docs" / "results a.md", tmp_path / "docs" / "results" / "a b"
    output.mkdir(parents=True)
    assert not lprnet_report(monkeypatch, "--from", made, "--output", output, "--page", page)
    text = page.read_text("utf-8")
    assert text == results_page(report(), output / "report.json", page)
    assert markdown(report()) in text
    assert text.startswith("# Results on A CPU\n")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links[0] == "results/a%20b/report.json"
    assert len(links) == 5
    assert all((page.parent / link.replace("%20", " ")).is_file() for link in links)
    (command,) = [line.strip() for line in text.splitlines() if line.startswith("    lprnet")]
    assert command == "lprnet report --from 'results/a b/report.json' --page 'results a.md'"
    page.unlink()
    monkeypatch.chdir(page.parent)
    again = "results/a b/report.json"
    assert not lprnet_report(monkeypatch, "--from", again, "--page", "results a.md")
    assert page.read_text("utf-8") == text


def test_a_page_without_its_pictures_or_its_record_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(UserError, match=r"lacks pareto\.png.*--output"):
        write_results_page(report(), report().write(tmp_path), page)
    assert lprnet_report(monkeypatch, "--page", page) == 2
    assert "--output DIR" in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.parent.name)
def test_a_page_is_that_of_its_record_and_can_be_found(record: Path) -> None:
    page = PROJECT / "docs" / f"results-{record.parent.name}.md"
    assert page.read_text("utf-8") == results_page(read_report(record), record, page), (
        f"run lprnet report --from {record} --page {page}"
    )
    assert f'"{page.name}"' in (PROJECT / "zensical.toml").read_text("utf-8")
    assert f"]({page.name})" in (PROJECT / "docs" / "results.md").read_text("utf-8")
