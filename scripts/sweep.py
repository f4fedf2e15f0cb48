"""Find how narrow a checkpoint's layers may be: prune to several budgets, build, read, time."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from lprnet.support.cli import run
from lprnet.weights import DEFAULT_CHECKPOINT


def main() -> None:
    """Parse, sweep, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, metavar="FILE")
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="as for build.py")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="images named after their plates, to count what each result reads",
    )
    parser.add_argument(
        "--budgets", nargs="+", type=float, metavar="MMAC", help="to prune to, in million MACs"
    )
    parser.add_argument("--step", type=int, default=8, help="widths are multiples of it")
    parser.add_argument(
        "--loss", type=float, default=0.5, help="accuracy to give up, in percentage points"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = vars(parser.parse_args())
    from lprnet.reports.pruning_sweep import Request, as_json, plot, run_sweep, table

    picture, machine_readable = options.pop("plot"), options.pop("json")
    outcome = run_sweep(Request(**options))
    if machine_readable:
        print(json.dumps(as_json(outcome), indent=2))
    else:
        Console().print(table(outcome))
    if picture:
        plot(outcome, picture)


if __name__ == "__main__":
    run(main)
