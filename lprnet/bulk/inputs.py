"""From what a command names to a stream of pieces, the least that one worker reads at once.

Nothing here holds all names: those of a large folder are sorted in runs on disk.
"""

import fnmatch
import glob
import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from lprnet.bulk.tar_input import tar_ranges
from lprnet.runtime.boxes_file import read_boxes
from lprnet.runtime.image_paths import SUFFIXES, refuse_url
from lprnet.support.errors import UserError

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PARQUET = ".parquet"
STDIN = "-"
SORTED_AT_ONCE = 1_000_000
"""Names in memory, about 100 MB."""
LONGEST_NAME = 4096
"""Bytes of a path on Linux (`PATH_MAX`), its zero byte among them."""

BLOCK = 1 << 14
"""Bytes of a list of names that are in memory at once; many lists may be merged."""

Piece = Any
"""As JSON holds it: the name of an image file, or an object with its kind (`tar`, `parquet`,
`boxes`) and where in the file it begins and ends."""


def pieces(
    arguments: Sequence[str],
    boxes: Path | None = None,
    column: str | None = None,
    names: IO[bytes] | None = None,
) -> Iterator[Piece]:
    """What `arguments` name, or the boxes, in order; `column` is that of Parquet files.

    A folder stands for the images, tar and Parquet files right in it and a pattern for those that
    it matches, both sorted; `-` stands for the `names` on stdin. Raises `UserError` for a folder or
    pattern without any, and for a tar or Parquet file that cannot be read.
    """
    if boxes is not None:
        for file, found in read_boxes(boxes):
            yield {"boxes": file, "numbers": [box.numbers for box in found]}
    for name in _names(arguments, names):
        lower = name.lower()
        if lower.endswith(TARS):
            yield from tar_ranges(name)
        elif lower.endswith(PARQUET):
            from lprnet.bulk.parquet_input import row_groups  # Arrow comes for Parquet alone

            yield from row_groups(name, column)
        else:
            yield name


def _names(arguments: Sequence[str], names: IO[bytes] | None) -> Iterator[str]:
    for argument in arguments:
        if argument == STDIN and names is not None:
            yield from listed(names)
            continue
        refuse_url(argument)
        if os.path.isdir(argument):
            yield from _some(argument, in_order(_in_folder(argument, "*")))
        elif glob.has_magic(argument) and not os.path.exists(argument):
            yield from _some(argument, in_order(_matching(argument)))
        else:
            yield argument


def listed(file: IO[bytes]) -> Iterator[str]:
    """The names in `file`: one a line, or, where a zero byte shows that a program such as `find
    -print0` has written them, one up to each zero byte.

    Raises `UserError` for a name longer than any path.
    """
    left = file.read(2 * LONGEST_NAME)
    end = b"\0" if b"\0" in left else b"\n"
    while left:
        *names, left = left.split(end)
        yield from map(os.fsdecode, filter(None, names))
        if len(left) > LONGEST_NAME:
            raise UserError(f"a name on stdin has more than {LONGEST_NAME} bytes; give a line each")
        block = file.read(BLOCK)
        if not block and left:
            yield os.fsdecode(left)
            return
        left += block


def in_order(names: Iterable[str]) -> Iterator[str]:
    """`names` sorted; more than `SORTED_AT_ONCE` are on disk meanwhile."""
    runs: list[Iterator[str]] = []
    held: list[str] = []
    for name in names:
        held.append(name)
        if len(held) == SORTED_AT_ONCE:
            runs.append(_on_disk(sorted(held)))
            held = []
    held.sort()
    return heapq.merge(*runs, held)


def _on_disk(names: Iterable[str]) -> Iterator[str]:
    file = TemporaryFile()  # noqa: SIM115 - the iterator has it
    for name in names:
        file.write(os.fsencode(name) + b"\0")
    file.seek(0)
    return listed(file)


def _in_folder(folder: str, pattern: str) -> Iterator[str]:
    """Files right in `folder` that are named like inputs and match `pattern`, in any order."""
    endings = (*SUFFIXES, *TARS, PARQUET)
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                name = entry.name
                hidden = name[0] == "." and pattern[0] != "."
                if not hidden and name.lower().endswith(endings) and fnmatch.fnmatch(name, pattern):
                    yield os.path.join(folder, name)
    except OSError as error:
        raise UserError(f"cannot list the folder {folder}: {error.strerror}") from error


def _matching(pattern: str) -> Iterator[str]:
    """What `glob` finds, of which it would hold a folder's names at once."""
    folder, name = os.path.split(pattern)
    if name == "**":
        folder, name = pattern, "*"
    if not glob.has_magic(folder):
        return _in_folder(folder, name)
    folders = glob.iglob(os.path.join(folder, ""), recursive=True)
    return (file for found in folders for file in _in_folder(found.rstrip("/") or "/", name))


def _some(argument: str, names: Iterator[str]) -> Iterator[str]:
    """`names`. Raises `UserError` if there are none."""
    first = next(names, None)
    if first is None:
        raise UserError(f"{argument} holds no image, tar or Parquet file; name others")
    yield first
    yield from names
