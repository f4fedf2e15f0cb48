"""Count the images that an artifact or a checkpoint reads exactly as they are named.

With --rendered it reads rendered plates instead: by difficulty, kind and province.
"""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import (
    add_network,
    input_file,
    input_folder,
    integer,
    output_file,
    stated,
)
from lprnet.commands.reading_arguments import add_rows
from lprnet.support.cli import print_json
from lprnet.support.errors import UserError

BACKENDS = ("tvm", "torch", "onnxruntime", "openvino")


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "file", type=input_file, metavar="ARTIFACT|CHECKPOINT", help="or an ONNX file"
    )
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument(
        "--data",
        type=input_folder,
        metavar="DIR",
        help="images named after their plates; this or --rendered (required)",
    )
    images.add_argument(
        "--rendered",
        type=integer(1),
        metavar="N",
        help="N rendered plates of each kind and difficulty; this or --data (required)",
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, help="what runs it (default: by the ending of the file)"
    )
    add_network(parser)
    parser.add_argument("--grammar", action="store_true", help="prefer texts that are plates")
    add_rows(parser)
    parser.add_argument(
        "--misread",
        type=output_file(".png", ".csv"),
        metavar="FILE",
        help="write what was read wrong, as a contact sheet (.png) or a list (.csv) (default: "
        "nowhere)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(options: Namespace) -> None:
    """Evaluate, then print the counts."""
    if options.rendered is None:
        _images(options)
    elif options.misread or options.rows != "1":
        raise UserError("--misread and --rows are for images of --data; leave them out")
    else:
        _rendered(options)


def _images(options: Namespace) -> None:
    from dataclasses import asdict

    from lprnet.measure.accuracy import evaluate
    from lprnet.runtime.files_left_out import report_files_left_out

    result, read = evaluate(
        options.file,
        options.data,
        options.backend,
        grammar=options.grammar,
        rows=options.rows,
        stated=stated(options),
    )
    if options.json:
        print_json(asdict(result))
    else:
        print(result)
    if options.misread:
        from lprnet.reports.misread import write_misread

        write_misread(read, options.misread)
    report_files_left_out([str(options.data)])


def _rendered(options: Namespace) -> None:
    from dataclasses import asdict

    from lprnet.commands.tables import print_tables
    from lprnet.reports.rendered_accuracy import evaluate_rendered

    result = evaluate_rendered(
        options.file,
        options.rendered,
        options.backend,
        grammar=options.grammar,
        stated=stated(options),
    )
    if options.json:
        print_json(asdict(result))
    else:
        print_tables([result.table()])
        print(result.sentence())
