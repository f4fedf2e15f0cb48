"""A shard's readings as Parquet."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from lprnet.runtime.decode import Plate
from lprnet.runtime.reading_output import Reading
from lprnet.support.file_names import escaped_bytes

Row = tuple[str, int, str, float, Plate, tuple[float, ...] | None]
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
        rows: list[Row] = []
        for reading in readings:
            file = escaped_bytes(reading.file)
            for rank, plate in enumerate(reading.plates, 1):
                rows.append((file, rank, plate.text, plate.confidence, plate, reading.box))
            if len(rows) >= ROWS_AT_ONCE:
                writer.write_batch(_batch(rows, schema))
                rows = []
        writer.write_batch(_batch(rows, schema))


def _batch(rows: list[Row], schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    files, ranks, texts, confidences, plates, boxes = zip(*rows, strict=True) if rows else [()] * 6
    characters = [plate.symbol_confidences for plate in plates]
    offsets = np.cumsum([0, *map(len, characters)], dtype=np.int32)
    flat = np.fromiter(itertools.chain(*characters), np.float32, offsets[-1])
    columns: list[Any] = [files, ranks, texts, confidences]
    columns.append(pyarrow.ListArray.from_arrays(offsets, flat))
    columns.append([plate.lowest for plate in plates])
    return pyarrow.record_batch([*columns, boxes][: len(schema)], schema)
