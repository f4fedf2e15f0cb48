"""Files in a folder of images that are no images: counted and named, so that none is missed."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lprnet.runtime.image_header import FORMATS
from lprnet.runtime.image_paths import SUFFIXES
from lprnet.support.file_names import printable

NAMED = 5
"""Files named for each folder."""


def report_files_left_out(arguments: Sequence[str]) -> None:
    """For each folder among `arguments`, a line on stderr about the files that were not read.

    Hidden files are not mentioned: they are what systems, not users, put there.
    """
    for folder in dict.fromkeys(argument for argument in arguments if Path(argument).is_dir()):
        names = sorted(
            path.name
            for path in Path(folder).iterdir()
            if path.is_file() and path.suffix.lower() not in SUFFIXES and path.name[0] != "."
        )
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            print(
                f"{printable(folder)}: {len(names)} of its files are not named like a {FORMATS} "
                f"image and were left out: {printable(', '.join(names[:NAMED]))}{more}",
                file=sys.stderr,
            )
