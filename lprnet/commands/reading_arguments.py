"""What `recognize`, `bulk`, `serve` and `evaluate` take: how plates are read."""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from pathlib import Path

from lprnet.commands.arguments import input_file, integer, number
from lprnet.support.errors import UserError

MAX_PIXELS = 16_000_000
"""As in `lprnet/runtime/image_io.py`, which loads OpenCV."""
ROWS = ("1", "2", "auto")
"""As in `lprnet/runtime/two_rows.py`, which loads it too."""
MAX_TEXTS = 100
"""Alternatives an image: the search for more takes seconds, and no text behind these is likely."""


def add_reading(parser: ArgumentParser) -> None:
    """Let `parser` take the artifact, and what it is to do with an image."""
    parser.add_argument(
        "--artifact",
        type=input_file,
        metavar="FILE",
        help="what `build` made (default: build/lprnet-int8-native.so or the newest in build/)",
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
        help="mark plates less sure than this as rejected (default: none)",
    )
    add_rows(parser)
    parser.add_argument(
        "--max-pixels",
        type=integer(1),
        default=MAX_PIXELS,
        metavar="N",
        help="refuse larger images, and those that cost as much to decode",
    )


def add_rows(parser: ArgumentParser) -> None:
    """Let `parser` take the number of rows."""
    parser.add_argument(
        "--rows",
        choices=ROWS,
        default="1",
        help="how many a plate has; auto: two if the image or box is narrower than 2.2 times its "
        "height",
    )


def add_inputs(parser: ArgumentParser) -> None:
    """Let `parser` take boxes, and how many texts each image gets."""
    parser.add_argument(
        "--top",
        type=integer(1, MAX_TEXTS),
        default=1,
        metavar="N",
        help=f"up to N texts an image, at most {MAX_TEXTS}",
    )
    parser.add_argument(
        "--boxes",
        type=input_file,
        metavar="FILE",
        help="instead of images: the plates that a detector found, as CSV, .json or .jsonl with "
        "file, x1, y1, x2, y2, or x1 to y4 for four corners (default: an image is a plate)",
    )


def require_images_or_boxes(images: Sequence[str], boxes: Path | None) -> None:
    """Raises `UserError` unless exactly one is given."""
    if bool(images) == (boxes is not None):
        raise UserError("give images, or --boxes without images: it names the pictures itself")
