"""Count the images that an artifact or a checkpoint reads exactly as they are named."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import (
    add_network,
    input_file,
    input_folder,
    output_file,
    stated,
)

BACKENDS = ("tvm", "torch", "onnxruntime", "openvino")


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "file", type=input_file, metavar="ARTIFACT|CHECKPOINT", help="or an ONNX file"
    )
    parser.add_argument(
        "--data",
        type=input_folder,
        required=True,
        metavar="DIR",
        help="images named after their plates",
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, help="what runs it (default: by the ending of the file)"
    )
    add_network(parser)
    parser.add_argument("--grammar", action="store_true", help="prefer texts that are plates")
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
    import json
    from dataclasses import asdict

    from lprnet.measure.accuracy import evaluate
    from lprnet.runtime.files_left_out import report_files_left_out
    from lprnet.support.file_names import utf8_json

    result, read = evaluate(
        options.file, options.data, options.backend, grammar=options.grammar, stated=stated(options)
    )
    if options.json:
        print(utf8_json(json.dumps(asdict(result), ensure_ascii=False)))
    else:
        print(result)
    if options.misread:
        from lprnet.reports.misread import write_misread

        write_misread(read, options.misread)
    report_files_left_out([str(options.data)])
