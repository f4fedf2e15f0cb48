"""Say what an artifact is: network, passes, kernels, whether it is intact; or time its kernels."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import input_file
from lprnet.support.cli import print_json


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "artifact", type=input_file, metavar="ARTIFACT", help="a .so that `build` made"
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="time each kernel inside real calls instead; for an artifact of `build --profile`",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(options: Namespace) -> None:
    """Print the description."""
    from lprnet.runtime.description import as_text, description

    if options.profile:
        from lprnet.measure.kernel_profile import profile

        measured = profile(options.artifact)
        content, text = measured.as_json(), measured.as_text()
    elif options.json:
        content, text = description(options.artifact), ""
    else:
        content, text = {}, as_text(options.artifact)
    if options.json:
        print_json(content, indent=2)
    else:
        print(text)
