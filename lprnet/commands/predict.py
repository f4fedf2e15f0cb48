"""Estimate the speed on other Xeons with llvm-mca: a JSON record and a table of it."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import add_calibration, add_checkpoint, output_folder


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(parser, "what to compile, as for build")
    add_calibration(parser)
    parser.add_argument(
        "--output",
        type=output_folder,
        default="docs/results",
        metavar="DIR",
        help="xeon-predicted.json and xeon-predicted.md go here",
    )


def run(options: Namespace) -> None:
    """Predict, then write."""
    from lprnet.reports.prediction.predict import predict
    from lprnet.reports.prediction.render import write

    write(predict(options.checkpoint, options.calibration), options.output)
