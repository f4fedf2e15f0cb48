"""Say what an artifact is: network, target versions, passes, kernels, whether it is intact."""

import json
from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import input_file


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "artifact", type=input_file, metavar="ARTIFACT", help="a .so that `build` made"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(options: Namespace) -> None:
    """Print the description."""
    from lprnet.runtime.description import as_text, description
    from lprnet.support.file_names import printable, utf8_json

    if options.json:
        print(utf8_json(json.dumps(description(options.artifact), ensure_ascii=False, indent=2)))
    else:
        print("\n".join(map(printable, as_text(options.artifact).splitlines())))
