"""Build an artifact: checkpoint to one small shared object, verified and timed."""

import argparse
from pathlib import Path

from rich.console import Console

from lprnet.build import Request, build, build_tables
from lprnet.compiler.targets import PORTABLE, TARGET_NAMES
from lprnet.runtime.files_left_out import report_files_left_out
from lprnet.support.cli import add_variant, run
from lprnet.weights import DEFAULT_CHECKPOINT
from schedules.apply import ORIGINS


def main() -> None:
    """Parse, build, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=DEFAULT_CHECKPOINT,
        metavar="FILE",
        help="a state dict (.pth, .safetensors), or ONNX: float32, or static int8 in QDQ form",
    )
    add_variant(parser)
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
    if options.calibration:
        report_files_left_out([str(options.calibration)])


if __name__ == "__main__":
    run(main)
