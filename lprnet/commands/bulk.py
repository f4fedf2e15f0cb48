"""Read millions of plates into shards of Parquet, CSV or JSON lines; a run that was killed goes on
where it was.

Give the same command again after a crash. Every core reads; `taskset` chooses among them.
"""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace

from lprnet.commands.arguments import (
    add_boxes,
    add_rows,
    input_file,
    integer,
    output_folder,
    require_images_or_boxes,
)
from lprnet.commands.recognize import MAX_PIXELS, MAX_TEXTS

FORMS = ("parquet", "csv", "jsonl")
"""As in `lprnet/bulk/output.py`."""
SHARD_SIZE = 2000
"""Plates. A core reads as many in half a second, which is what a kill can cost it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="IMAGE|DIR|GLOB|TAR|PARQUET|-",
        help="what to read; -: names on stdin, one a line or each with a zero byte behind it",
    )
    parser.add_argument(
        "--output", type=output_folder, metavar="DIR", required=True, help="the folder of the job"
    )
    parser.add_argument(
        "--artifact",
        type=input_file,
        metavar="FILE",
        help="what `build` made (default: build/lprnet-int8-native.so or the newest in build/)",
    )
    add_boxes(parser, "inputs")
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="the column of images in Parquet files (default: the only one of bytes)",
    )
    parser.add_argument("--format", choices=FORMS, default=FORMS[0], help="of the shards")
    parser.add_argument(
        "--shard-size",
        type=integer(1),
        default=SHARD_SIZE,
        metavar="N",
        help="plates a shard; one of a tar or Parquet file may have more",
    )
    parser.add_argument(
        "--top",
        type=integer(1, MAX_TEXTS),
        default=1,
        metavar="N",
        help=f"up to N texts a plate, at most {MAX_TEXTS}",
    )
    parser.add_argument(
        "--grammar",
        action=BooleanOptionalAction,
        help="find the most probable text that is a plate, or read any text (default: the first, "
        "where the alphabet has a grammar)",
    )
    add_rows(parser)
    parser.add_argument(
        "--max-pixels",
        type=integer(1),
        default=MAX_PIXELS,
        metavar="N",
        help="refuse larger images, and those that cost as much to decode",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="let a Ray cluster do the work, whose machines share all these files (default: the "
        "cores of this machine)",
    )


def run(options: Namespace) -> int:
    """Read what is not there yet."""
    from lprnet.bulk.job import Options
    from lprnet.bulk.run import Request, run
    from lprnet.runtime.batch_reader import default_artifact

    require_images_or_boxes(options.inputs, options.boxes)
    return run(
        Request(
            inputs=options.inputs,
            boxes=options.boxes,
            column=options.column,
            output=options.output,
            artifact=options.artifact or default_artifact(),
            shard_size=options.shard_size,
            options=Options(
                form=options.format,
                top=options.top,
                grammar=options.grammar,
                max_pixels=options.max_pixels,
                boxes=options.boxes is not None,
                rows=options.rows,
            ),
            ray=options.ray,
        )
    )
