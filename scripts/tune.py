"""Search for schedules of every kernel, on this CPU or over RPC; a killed run can be continued."""

import argparse
from pathlib import Path

from rich.console import Console

from lprnet.compiler.targets import TARGET_NAMES
from lprnet.support.cli import add_variant, run
from lprnet.tuning import LOGS


def main() -> None:
    """Parse, tune, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000, help="candidates to measure in all")
    parser.add_argument(
        "--checkpoint",
        dest="checkpoints",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="tune its kernels too, besides the default model's; may be given several times",
    )
    add_variant(parser)
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="images to calibrate the checkpoints on, as for build.py",
    )
    parser.add_argument("--target", choices=TARGET_NAMES, default="native")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume",
        dest="fresh",
        action="store_false",
        help="continue the existing log (default)",
    )
    existing.add_argument("--fresh", action="store_true", help="throw away the existing log")
    parser.set_defaults(fresh=False)
    parser.add_argument("--seed", type=int, default=1, help="of the search")
    parser.add_argument("--output", type=Path, default=LOGS, metavar="DIR")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the convergence")
    parser.add_argument("--tracker", metavar="HOST:PORT", help="measure on its RPC servers")
    parser.add_argument("--key", help="of the servers to use")
    options = parser.parse_args()
    from lprnet.tuning.report import plot_convergence, summary
    from lprnet.tuning.tune import Request, tune

    picture = vars(options).pop("plot")
    outcome = tune(Request(**vars(options)))
    Console().print(summary(outcome))
    if picture:
        plot_convergence(outcome, picture)


if __name__ == "__main__":
    run(main)
