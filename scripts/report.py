"""Measure every variant, and with --peers every rival, on this machine: table, pictures, page."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lprnet.reports.benchmark.html import write_page
from lprnet.reports.benchmark.plots import draw_all, write_all
from lprnet.reports.benchmark.results import read_report, write_bytes
from lprnet.reports.benchmark.table import findings, terminal, update_pages
from lprnet.reports.benchmark.variants import PROJECT
from lprnet.support.cli import run
from lprnet.weights import DEFAULT_CHECKPOINT

WIDTH = 160
"""Of the table in a file or a pipe."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, metavar="FILE")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="images named after their plate; else rendered"
    )
    parser.add_argument("--peers", action="store_true", help="also PyTorch, ONNX Runtime, OpenVINO")
    parser.add_argument("--repeats", type=int, default=200, metavar="N", help="rounds of latency")
    parser.add_argument(
        "--work", type=Path, default=Path("build/report"), metavar="DIR", help="artifacts go here"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="keep report.json and the PNGs here"
    )
    parser.add_argument("--from", type=Path, dest="made", metavar="FILE", help="a report.json")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="accuracy against latency")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one page with everything")
    parser.add_argument(
        "--readme", action="store_true", help="put the tables into README.md and docs/results.md"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.made:
        report = read_report(options.made)
    else:
        from lprnet.reports.benchmark.run import Request
        from lprnet.reports.benchmark.run import run as measure

        work = options.work
        asked = (options.checkpoint, options.data, options.peers, options.repeats, work)
        report = measure(Request(*asked))
        report.write(work)
    if options.output:
        report.write(options.output)
        write_all(report, options.output)
    if options.plot:
        write_bytes(options.plot, draw_all(report)["pareto.png"])
    if options.html:
        write_page(report, options.html)
    if options.readme:
        update_pages(report, PROJECT)
    if options.json:
        print(json.dumps(asdict(report), ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for table in terminal(report):
        console.print(table)
    for sentence in findings(report):
        console.print(f"- {sentence}", highlight=False)


if __name__ == "__main__":
    run(main)
