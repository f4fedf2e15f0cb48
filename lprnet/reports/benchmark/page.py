"""A Markdown page of one report: its tables, its findings, and the pictures beside its record."""

import os
import shlex
from pathlib import Path
from urllib.parse import quote

from lprnet.reports.benchmark.plots import TITLES
from lprnet.reports.benchmark.results import Report, write_bytes
from lprnet.reports.benchmark.table import conditions, markdown
from lprnet.support.errors import UserError


def results_page(report: Report, record: Path, page: Path) -> str:
    """The text of `page` about `report`, which is kept as `record`, with its pictures beside it."""
    data = Path(os.path.relpath(record, page.parent))
    pictures = [f"![{title}]({quote(str(data.with_name(name)))})" for name, title in TITLES.items()]
    return "\n".join(
        [
            f"# Results on {report.lines[0].latency.cpu}",
            "",
            f"{conditions(report)}.",
            "",
            f"The figures come from [{record.name}]({quote(str(data))}). In this folder, this "
            "command writes it again:",
            "",
            f"    lprnet report --from {shlex.quote(str(data))} --page {shlex.quote(page.name)}",
            "",
            markdown(report),
            "",
            *pictures,
            "",
        ]
    )


def write_results_page(report: Report, record: Path, page: Path) -> None:
    """Write `results_page`. Raises `UserError` where pictures are not beside the record, and if the
    page cannot be written.
    """
    missing = [name for name in TITLES if not (record.parent / name).is_file()]
    if missing:
        raise UserError(
            f"{record.parent}: lacks {missing[0]}, which the page shows; give --output "
            f"{record.parent} to draw it"
        )
    write_bytes(page, results_page(report, record, page).encode())
