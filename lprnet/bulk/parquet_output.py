"""A shard's readings as Parquet."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from lprnet.runtime.decode import Plate
from lprnet.runtime.reading_output import Reading
from lprnet.support.file_names import escaped_bytes

Row = tuple[Reading, int, Plate]
"""What was read of an image, and one of its texts with the rank of it."""
ROWS_AT_ONCE = 8192
"""Of a row group."""


def write_parquet(readings: Iterable[Reading], path: Path, boxes: bool, rejected: bool) -> None:
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
    if rejected:
        fields.append(("rejected", pyarrow.bool_()))
    schema = pyarrow.schema(fields)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        rows: list[Row] = []
        for reading in readings:
            rows += [(reading, rank, plate) for rank, plate in enumerate(reading.plates, 1)]
            if len(rows) >= ROWS_AT_ONCE:
                writer.write_batch(_batch(rows, schema))
                rows = []
        writer.write_batch(_batch(rows, schema))


def _batch(rows: list[Row], schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    characters = [plate.symbol_confidences for _, _, plate in rows]
    offsets = np.cumsum([0, *map(len, characters)], dtype=np.int32)
    flat = np.fromiter(itertools.chain(*characters), np.float32, offsets[-1])
    columns = {
        "file": [escaped_bytes(reading.file) for reading, _, _ in rows],
        "rank": [rank for _, rank, _ in rows],
        "text": [plate.text for _, _, plate in rows],
        "confidence": [plate.confidence for _, _, plate in rows],
        "character_confidences": pyarrow.ListArray.from_arrays(offsets, flat),
        "lowest_character_confidence": [plate.lowest for _, _, plate in rows],
        "box": [reading.box for reading, _, _ in rows],
        "rejected": [reading.rejected for reading, _, _ in rows],
    }
    return pyarrow.record_batch([columns[name] for name in schema.names], schema)
