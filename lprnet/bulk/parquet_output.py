"""A shard's plates as Parquet."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from lprnet.runtime.reading_columns import ReadingColumns
from lprnet.support.file_names import escaped_bytes

ROWS_AT_ONCE = 8192
"""Of a row group, and those of one plate more."""


def write_parquet(
    parts: Iterable[ReadingColumns], path: Path, boxes: bool, least: float | None
) -> None:
    """A row a text: `file`, `rank` from 1, `text`, its confidence, those of its characters and the
    lowest of them; with `boxes` also `box`, with a `least` confidence whether it is `rejected`.
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
    if least is not None:
        fields.append(("rejected", pyarrow.bool_()))
    schema = pyarrow.schema(fields)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting = [pyarrow.RecordBatch.from_pylist([], schema)]
        for part in parts:
            waiting.append(_batch(part, schema, least))
            if sum(batch.num_rows for batch in waiting) >= ROWS_AT_ONCE:
                waiting = [_write_groups(writer, pyarrow.concat_batches(waiting))]
        writer.write_batch(pyarrow.concat_batches(waiting))


def _write_groups(
    writer: pyarrow.parquet.ParquetWriter, batch: pyarrow.RecordBatch
) -> pyarrow.RecordBatch:
    """Write row groups, each up to the end of a plate, and return what is left for another."""
    while batch.num_rows >= ROWS_AT_ONCE:
        ranks = [*batch.column("rank")[ROWS_AT_ONCE:].to_pylist(), 1]
        count = ROWS_AT_ONCE + ranks.index(1)
        writer.write_batch(batch[:count])
        batch = batch[count:]
    return batch


def _batch(
    part: ReadingColumns, schema: pyarrow.Schema, least: float | None
) -> pyarrow.RecordBatch:
    read = part.read
    plates = read.images.tolist()
    offsets = np.concatenate([[0], read.texts.lengths.cumsum()]).astype(np.int32)
    peaks = pyarrow.array(read.peaks.astype(np.float32))
    files = [escaped_bytes(file) for file in part.files]
    columns = {
        "file": [files[plate] for plate in plates],
        "rank": read.ranks().astype(np.int32),
        "text": read.texts.spelled(part.alphabet.characters),
        "confidence": read.confidences.astype(np.float32),
        "character_confidences": pyarrow.ListArray.from_arrays(offsets, peaks),
        "lowest_character_confidence": read.texts.lowest(read.peaks).astype(np.float32),
    }
    if "box" in schema.names:
        columns["box"] = [part.places[plate] for plate in plates]
    if least is not None:
        columns["rejected"] = part.rejected(least)[read.images]
    return pyarrow.record_batch([columns[name] for name in schema.names], schema)
