"""The file of `--boxes`: what a detector found, a plate a row, as CSV, JSON or JSON lines."""

import csv
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from lprnet.runtime.boxes import Box
from lprnet.runtime.json_list import json_items
from lprnet.support.errors import UserError, one_line

COLUMNS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
LONGEST_LINE = 1 << 20
MAX_BOXES = 10_000
"""Of one picture in a row: their numbers are in memory together."""

Found = tuple[str, tuple[Box, ...]]


def read_boxes(path: Path) -> Iterator[Found]:
    """Each picture in `path` with its boxes, in the order of the file; rows of the same picture
    that follow one another come together, at most `MAX_BOXES` at once.

    A row has `file` and either `x1`, `y1`, `x2`, `y2` or, for four corners, `x1` to `y4`; other
    columns are passed over. `.json` is a list of such objects, `.jsonl` has one a line, anything
    else is CSV with a header. Raises `UserError`, with the number of the row, for any other file.
    """
    pairs = _boxes(path)
    for file, rows in itertools.groupby(pairs, key=lambda pair: pair[0]):
        while boxes := tuple(box for _, box in itertools.islice(rows, MAX_BOXES)):
            yield file, boxes


def _boxes(path: Path) -> Iterator[tuple[str, Box]]:
    number = 1
    try:
        for row in _rows(path):
            yield _box(row)
            number += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise UserError(
            f"{path}: row {number} {one_line(error)}; give file, x1, y1, x2, y2, or x1 to y4"
        ) from error


def _rows(path: Path) -> Iterator[Mapping[str, object]]:
    """The rows as objects. A name may hold any bytes, as Python writes them in a file name."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        if path.suffix.lower() == ".json":
            yield from json_items(file)
        elif path.suffix.lower() == ".jsonl":
            yield from map(json.loads, filter(str.strip, _lines(file)))
        else:
            yield from _csv_rows(file)


def _csv_rows(file: Iterator[str]) -> Iterator[Mapping[str, object]]:
    """The rows of a CSV; one of several lines, as quotes allow, is no longer than a line may be."""
    length = 0

    def lines() -> Iterator[str]:
        nonlocal length
        for line in _lines(file):
            length += len(line)
            if length > LONGEST_LINE:
                raise ValueError("is too long")
            yield line

    for row in csv.DictReader(lines()):
        yield row
        length = 0


def _lines(file: Iterator[str]) -> Iterator[str]:
    readline = file.readline  # type: ignore[attr-defined]
    while line := readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError("is too long")
        yield line


def _box(row: object) -> tuple[str, Box]:
    if not isinstance(row, Mapping):
        raise ValueError("is no object with names")
    file = row.get("file")
    if not isinstance(file, str) or not file or "\0" in file:
        raise ValueError("has no file")
    given = [name for name in COLUMNS if row.get(name) not in (None, "")]
    if given not in (list(COLUMNS[:4]), list(COLUMNS)):
        raise ValueError("has neither x1, y1, x2, y2 nor all of x1 to y4")
    numbers = []
    for name in given:
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"has a {name} that is no number")
        try:
            numbers.append(float(value))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"has a {name} that is no number") from error
    try:
        return file, Box(tuple(numbers))
    except ValueError as error:
        raise ValueError(f"holds a box that {error}") from error
