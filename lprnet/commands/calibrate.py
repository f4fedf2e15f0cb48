"""Fit how sure an artifact's plates are, check it on others, and write it into the artifact."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import input_file, input_folder, integer, output_folder


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument("artifact", type=input_file, metavar="ARTIFACT", help="what `build` made")
    parser.add_argument(
        "--data",
        type=input_folder,
        metavar="DIR",
        help="images named after their plates: half are fitted, half checked (default: rendered "
        "plates)",
    )
    parser.add_argument(
        "--plates",
        type=integer(100, 100_000),
        default=5000,
        metavar="N",
        help="rendered plates to fit, and as many to check",
    )
    parser.add_argument(
        "--check",
        type=input_folder,
        metavar="DIR",
        help="more images named after their plates, to try on what was fitted (default: none)",
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        default="build",
        metavar="DIR",
        help="reliability.json and reliability.png go here",
    )
    parser.add_argument(
        "--checkpoint",
        type=input_file,
        metavar="FILE",
        help="what the artifact was built from: later builds of it take the calibration from "
        "FILE.confidence.json (default: only this artifact has it)",
    )


def run(options: Namespace) -> None:
    """Measure, keep, print."""
    from lprnet.reports.confidence.run import calibrate, summary

    found = calibrate(
        options.artifact,
        options.data,
        options.plates,
        options.output,
        options.checkpoint,
        options.check,
    )
    print("\n".join(summary(found)))
