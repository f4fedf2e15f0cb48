"""Read the plates on images. Exits with 1 if some were not read or are rejected, 2 if none was."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace

from lprnet.commands.arguments import (
    add_boxes,
    add_rows,
    input_file,
    integer,
    number,
    require_images_or_boxes,
)

MAX_PIXELS = 16_000_000
"""As in `lprnet/runtime/image_io.py`, which loads OpenCV."""
MAX_TEXTS = 100
"""Alternatives an image: the search for more takes seconds, and no text behind these is likely."""


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument("images", nargs="*", metavar="IMAGE|DIR|GLOB", help="what to read")
    parser.add_argument(
        "--artifact",
        type=input_file,
        metavar="FILE",
        help="what `build` made (default: build/lprnet-int8-native.so or the newest in build/)",
    )
    parser.add_argument(
        "--top",
        type=integer(1, MAX_TEXTS),
        default=1,
        metavar="N",
        help=f"up to N texts an image, at most {MAX_TEXTS}",
    )
    parser.add_argument(
        "--grammar",
        action=BooleanOptionalAction,
        help="find the most probable text that is a plate, or read any text (default: the first, "
        "where the alphabet has a grammar)",
    )
    parser.add_argument(
        "--min-confidence",
        type=number(0, 1),
        metavar="P",
        help="mark plates less sure than this as rejected, and exit with 1 (default: none)",
    )
    add_rows(parser)
    parser.add_argument(
        "--max-pixels",
        type=integer(1),
        default=MAX_PIXELS,
        metavar="N",
        help="refuse larger images, and those that cost as much to decode",
    )
    add_boxes(parser, "images")
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
