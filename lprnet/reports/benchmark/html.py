"""A report as one HTML file that needs no server and no other file."""

import base64
from html import escape
from pathlib import Path

from lprnet.reports.benchmark.plots import TITLES, draw_all
from lprnet.reports.benchmark.results import Report, best, write_bytes
from lprnet.reports.benchmark.table import COLUMNS, cells, conditions, findings

STYLE = """
body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em }
table { border-collapse: collapse }
th, td { padding: .25em .6em; text-align: right; border-bottom: 1px solid #ccc }
th:first-child, td:first-child { text-align: left }
tr.ours { background: #e5f1f8 } tr.best { font-weight: bold }
img { max-width: 100% }
"""


def page(report: Report) -> str:
    """The HTML document."""
    head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
    body = []
    first = best(report.lines)
    for line in report.lines:
        kind = "ours best" if line is first else "ours" if line.ours else ""
        values = "".join(f"<td>{escape(value)}</td>" for value in cells(line, report))
        body.append(f'<tr class="{kind}">{values}</tr>')
    absent = [f"<b>{escape(one.name)}</b>: {escape(one.reason)}" for one in report.missing]
    pictures = [
        f'<h2>{TITLES[name]}</h2><img alt="{TITLES[name]}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        for name, png in draw_all(report).items()
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            f"<title>LPRNet, {escape(report.date)}</title><style>{STYLE}</style>",
            "<h1>LPRNet: every variant against every baseline</h1>",
            f"<p>{escape(conditions(report))}.</p>",
            f"<table><thead><tr>{head}</tr></thead><tbody>",
            *body,
            "</tbody></table>",
            *_section("Not in the table", absent),
            *_section(
                "Where a baseline wins, and what the numbers do not say",
                [escape(sentence) for sentence in findings(report)],
            ),
            *pictures,
            "</html>\n",
        ]
    )


def write_page(report: Report, path: Path) -> None:
    """Write `page(report)` to `path`. Raises `UserError` if it cannot be written."""
    write_bytes(path, page(report).encode())


def _section(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    return [f"<h2>{title}</h2><ul>", *(f"<li>{item}</li>" for item in items), "</ul>"]
