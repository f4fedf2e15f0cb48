"""Read millions of plates into shards of Parquet, CSV or JSON lines; a run that was killed goes on
where it was.

Give the same command again after a crash. Every core reads; `taskset` chooses among them.
"""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import integer, output_folder
from lprnet.commands.reading_arguments import add_inputs, add_reading, require_images_or_boxes

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
    add_reading(parser)
    add_inputs(parser)
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
        "--ray",
        metavar="ADDRESS",
        help="let a Ray cluster do the work, whose machines share all these files (default: the "
        "cores of this machine)",
    )


def run(options: Namespace) -> int:
    """Read what is not there yet."""
    from lprnet.bulk.job_file import Options
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
                min_confidence=options.min_confidence,
                rows=options.rows,
                max_pixels=options.max_pixels,
                boxes=options.boxes is not None,
            ),
            ray=options.ray,
        )
    )
