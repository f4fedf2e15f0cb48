"""A shard's readings as Parquet."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from lprnet.runtime.reading_output import Reading
from lprnet.support.file_names import escaped_bytes

ROWS_AT_ONCE = 8192
"""Of a row group."""


def write_parquet(readings: Iterable[Reading], path: Path, boxes: bool) -> None:
    """A row a text: `file`, `rank` from 1, `text`, its confidence, those of its characters and the
    lowest of them.
    """
    fields = [
        ("file", pyarrow.string()),
        ("rank", pyarrow.int32()),
        ("text", pyarrow.string()),
        ("confidence", pyarrow.float32()),
        ("character_confidences", pyarrow.list_(pyarrow.float32())),
        ("lowest_character_confidence", pyarrow.float32()),
    ]
    if boxes:
        fields.append(("box", pyarrow.list_(pyarrow.float64())))
    schema = pyarrow.schema(fields)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        columns: list[list[Any]] = [[] for _ in fields]
        for reading in readings:
            for rank, plate in enumerate(reading.plates, 1):
                row = (
                    escaped_bytes(reading.file), rank, plate.text, plate.confidence,
                    list(plate.symbol_confidences), plate.lowest, reading.box,
                )  # fmt: skip
                for column, value in zip(columns, row, strict=False):
                    column.append(value)
            if len(columns[0]) >= ROWS_AT_ONCE:
                writer.write_batch(pyarrow.record_batch(columns, schema))
                columns = [[] for _ in fields]
        writer.write_batch(pyarrow.record_batch(columns, schema))
