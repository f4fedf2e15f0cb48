"""Estimate the speed on Xeons that are not here, with llvm-mca: a JSON record and a table of it."""

import argparse
from pathlib import Path

from lprnet.reports.prediction.predict import predict
from lprnet.reports.prediction.render import write
from lprnet.support.cli import run
from lprnet.weights import DEFAULT_CHECKPOINT


def main() -> None:
    """Parse, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, metavar="FILE")
    parser.add_argument("--calibration", type=Path, metavar="DIR")
    parser.add_argument("--output", type=Path, default=Path("docs/results"), metavar="DIR")
    options = parser.parse_args()
    write(predict(options.checkpoint, options.calibration), options.output)


if __name__ == "__main__":
    run(main)
