"""Read the plates on images. Exits with 1 if some were not read or are rejected, 2 if none was."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.reading_arguments import add_inputs, add_reading, require_images_or_boxes


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument("images", nargs="*", metavar="IMAGE|DIR|GLOB", help="what to read")
    add_reading(parser)
    add_inputs(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json",
        action="store_const",
        dest="form",
        const="json",
        default="text",
        help="print one JSON object at the end instead of a line a plate",
    )
    form.add_argument(
        "--csv",
        action="store_const",
        dest="form",
        const="csv",
        help="print CSV with a header instead of text",
    )


def run(options: Namespace) -> int:
    """Read, and print what was read."""
    from lprnet.runtime.batch_reader import recognize

    require_images_or_boxes(options.images, options.boxes)
    return recognize(
        options.images,
        options.artifact,
        options.form,
        options.top,
        grammar=options.grammar,
        min_confidence=options.min_confidence,
        max_pixels=options.max_pixels,
        boxes=options.boxes,
        rows=options.rows,
    )
