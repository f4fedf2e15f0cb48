"""A shard's plates as CSV, JSON lines or Parquet. The same plates give the same bytes."""

import json
from collections.abc import Iterable
from pathlib import Path

from lprnet.bulk.csv_output import csv_rows
from lprnet.bulk.job_file import Options
from lprnet.bulk.json_output import json_lines
from lprnet.runtime.reading_columns import ReadingColumns
from lprnet.runtime.reading_output import Reading, csv_header

FORMS = ("parquet", "csv", "jsonl")
"""Each is the ending of a shard's file."""


def write(options: Options, parts: Iterable[ReadingColumns], path: Path) -> None:
    """Write what was read in one of `FORMS`; what could not be read is left out.

    CSV has a header, and a row a text, as `recognize --csv` prints them; JSON lines have an object
    an image, as the list of `recognize --json` has; Parquet has the columns of the CSV.
    """
    least = options.min_confidence
    if options.form == "parquet":
        from lprnet.bulk.parquet_output import write_parquet

        write_parquet(parts, path, options.boxes, least)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if options.form == "csv":
            file.write(csv_header(options.boxes, least is not None))
            file.writelines(csv_rows(part, least) for part in parts)
        else:
            for part in parts:
                file.writelines(json_lines(part, least))


def error_line(reading: Reading) -> str:
    """An image that could not be read, as a line of JSON."""
    content: dict[str, object] = {"file": reading.file, "error": reading.error}
    if reading.box is not None:
        content["box"] = reading.box
    return json.dumps(content) + "\n"
