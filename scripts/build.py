"""Build an artifact: checkpoint to one small shared object, verified and timed."""

import argparse
from pathlib import Path

from rich.console import Console

from lprnet.build import Request, build, build_tables
from lprnet.cli import run
from lprnet.targets import PORTABLE, TARGET_NAMES
from lprnet.weights import DEFAULT_CHECKPOINT
from schedules.apply import ORIGINS


def main() -> None:
    """Parse, build, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, metavar="FILE")
    parser.add_argument(
        "--quantized",
        nargs="?",
        const="static",
        choices=("static", "weights"),
        help="int8: weights and activations (static, the default) or weights alone",
    )
    parser.add_argument(
        "--pruned",
        nargs="?",
        const="structured",
        choices=("structured", "unstructured", "depth-aware"),
        help="whole channels (structured, the default), the smallest 90 %% of all weights "
        "(unstructured), or 20, 90 and 90 %% of them by depth (depth-aware)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="images to calibrate on (at most 100 are used; no labels needed); rendered plates "
        "where a quantized build is given none",
    )
    parser.add_argument("--target", choices=(*TARGET_NAMES, PORTABLE), default="native")
    parser.add_argument("--schedule", choices=ORIGINS, default="manual")
    parser.add_argument("--output", type=Path, default=Path("build"), metavar="DIR")
    options = parser.parse_args()
    console = Console(stderr=True)
    with console.status("building"):
        built, timing = build(Request(**vars(options)))
    for table in build_tables(built, timing):
        Console().print(table)


if __name__ == "__main__":
    run(main)
