"""A shard's readings as CSV, JSON lines or Parquet. The same readings give the same bytes."""

import json
from collections.abc import Iterable
from pathlib import Path

from lprnet.bulk.job import Options
from lprnet.runtime.reading_output import Reading, as_csv, as_json_line, csv_header

FORMS = ("parquet", "csv", "jsonl")
"""Each is the ending of a shard's file."""


def write(options: Options, readings: Iterable[Reading], path: Path) -> None:
    """Write what was read in one of `FORMS`.

    CSV has a header, and a row a text, as `recognize --csv` prints them; JSON lines have an object
    an image, as the list of `recognize --json` has; Parquet has the columns of the CSV.
    """
    boxes, rejected = options.boxes, options.min_confidence is not None
    if options.form == "parquet":
        from lprnet.bulk.parquet_output import write_parquet

        write_parquet(readings, path, boxes, rejected)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if options.form == "csv":
            file.write(csv_header(boxes, rejected))
            file.writelines(map(as_csv, readings))
        else:
            file.writelines(as_json_line(reading) + "\n" for reading in readings)


def error_line(reading: Reading) -> str:
    """An image that could not be read, as a line of JSON."""
    content: dict[str, object] = {"file": reading.file, "error": reading.error}
    if reading.box is not None:
        content["box"] = reading.box
    return json.dumps(content) + "\n"
