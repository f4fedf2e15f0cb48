"""Train LPRNet on rendered plates; see `lprnet/train.py`."""

import argparse
from pathlib import Path

from lprnet import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12_000, help="optimiser steps in all")
    parser.add_argument("--output", type=Path, default=Path("runs/train"), help="run directory")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output")
    arguments = parser.parse_args()
    from lprnet.train import Recipe, train

    print(train(Recipe(steps=arguments.steps), arguments.output, arguments.resume))


if __name__ == "__main__":
    cli.run(main)
