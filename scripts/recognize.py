"""Read the plates on images. Exits with 1 if some of them could not be read, with 2 if none."""

import argparse
from pathlib import Path

from lprnet.runtime.batch_reader import recognize
from lprnet.runtime.image_io import MAX_PIXELS
from lprnet.support import cli


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE|DIR|GLOB", help="what to read")
    parser.add_argument(
        "--artifact", type=Path, help="default: build/lprnet-int8-native.so or the newest in build/"
    )
    parser.add_argument("--top", type=int, default=1, metavar="N", help="up to N texts an image")
    parser.add_argument("--grammar", action="store_true", help="prefer texts that are plates")
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help=f"refuse larger images, and those that cost as much to decode (default: {MAX_PIXELS})",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", dest="form", const="json", default="text")
    form.add_argument("--csv", action="store_const", dest="form", const="csv")
    arguments = parser.parse_args()
    return recognize(
        arguments.images,
        arguments.artifact,
        arguments.form,
        arguments.top,
        grammar=arguments.grammar,
        max_pixels=arguments.max_pixels,
    )


if __name__ == "__main__":
    cli.run(main)
