"""Time an artifact or an ONNX file on this machine: milliseconds a call, and plates a second."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import input_file, integer
from lprnet.support.cli import print_json

ENGINES = ("tvm", "onnxruntime", "openvino")
CALLS = 1000


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument("file", type=input_file, metavar="FILE", help="an artifact or an ONNX file")
    parser.add_argument(
        "--batch", type=integer(1, 4096), default=1, metavar="N", help="images a call"
    )
    parser.add_argument(
        "--threads",
        type=integer(1, 1024),
        default=1,
        metavar="N",
        help="that one call may use; an artifact shares a batch among them",
    )
    parser.add_argument(
        "--engine", choices=ENGINES, help="what runs it (default: by the ending of the file)"
    )
    parser.add_argument(
        "--repeats", type=integer(1), default=CALLS, metavar="N", help="calls that are timed"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(options: Namespace) -> None:
    """Time it, then print the record."""
    from lprnet.measure.bench import bench

    found = bench(options.file, options.engine, options.batch, options.threads, options.repeats)
    if options.json:
        print_json(found.as_json())
    else:
        print(found.as_text())
