"""Compare schedules kernel by kernel: none, automatic, manual, and the faster of the two."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from lprnet.compiler.targets import TARGET_NAMES
from lprnet.support.cli import add_variant, run
from lprnet.tuning import LOGS
from lprnet.weights import DEFAULT_CHECKPOINT


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, metavar="FILE")
    add_variant(parser)
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="as for build.py")
    parser.add_argument("--target", choices=TARGET_NAMES, default="native")
    parser.add_argument("--logs", type=Path, default=LOGS, metavar="DIR", help="of tune.py")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw shares of the peak")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = vars(parser.parse_args())
    from lprnet.reports.schedule_comparison.compare import Request, compare
    from lprnet.reports.schedule_comparison.render import as_json, describe, plot, tables

    picture, machine_readable = options.pop("plot"), options.pop("json")
    with Console(stderr=True).status("building and timing every schedule"):
        comparison = compare(Request(**options))
    if picture:
        plot(comparison, picture)
    if machine_readable:
        print(json.dumps(as_json(comparison), indent=2))
        return
    console = Console()
    for table in tables(comparison):
        console.print(table)
    for sentence in describe(comparison):
        console.print(sentence)


if __name__ == "__main__":
    run(main)
