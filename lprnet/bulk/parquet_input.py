"""Images in Parquet files: a column of bytes, or of objects with bytes, as Hugging Face has it."""

from collections.abc import Iterator
from typing import Any

import pyarrow
import pyarrow.parquet

from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError, one_line

DAMAGED = (OSError, ValueError, pyarrow.ArrowException)
"""What pyarrow raises for files that are none; a name that is not UTF-8 is a `ValueError`."""
ROWS_AT_ONCE = 64
READ_BYTES = 1 << 20
"""Of a column at once; without it a whole row group comes into memory."""


def row_groups(name: str, column: str | None) -> Iterator[dict[str, Any]]:
    """The row groups of the Parquet file `name`, each with its first row and their number.

    Raises `UserError` if the file cannot be read or has no such `column`; where that is None, it
    must have exactly one column of bytes.
    """
    try:
        with pyarrow.parquet.ParquetFile(name) as file:
            found = _column(name, file.schema_arrow, column)
            first = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                yield {
                    "parquet": name, "column": found, "group": group, "first": first, "rows": rows
                }  # fmt: skip
                first += rows
    except DAMAGED as error:
        raise UserError(f"{name}: cannot be read ({one_line(error)}); check the file") from error


def parquet_sources(piece: dict[str, Any]) -> Iterator[Source]:
    """The images of a row group; a row is named by the file and its number from 0."""
    name, row = piece["parquet"], piece["first"]
    try:
        with pyarrow.parquet.ParquetFile(name, buffer_size=READ_BYTES, pre_buffer=False) as file:
            batches = file.iter_batches(ROWS_AT_ONCE, [piece["group"]], [piece["column"]])
            for batch in batches:
                column = batch.column(0)
                if pyarrow.types.is_struct(column.type):
                    column = column.field("bytes")
                for content in column:
                    image = f"{name}/{row}"
                    row += 1
                    if content.is_valid:
                        yield Source(image, content.as_py())
                    else:
                        yield Source(image, error=f"the image {image} is missing")
    except DAMAGED as error:
        yield Source(
            name, error=f"the Parquet file {name} is damaged ({one_line(error)}); copy it again"
        )


def _column(name: str, schema: pyarrow.Schema, column: str | None) -> str:
    fields = {field.name: field.type for field in schema}
    known = [field for field, kind in fields.items() if _holds_bytes(kind)]
    if column is not None and column not in known:
        raise UserError(
            f"{name}: has no column {column} of bytes, but {', '.join(known) or 'none'}; "
            "give another --column"
        )
    if column is None and len(known) != 1:
        raise UserError(
            f"{name}: has {len(known)} columns of bytes ({', '.join(known)}); name one by --column"
        )
    return column or known[0]


def _holds_bytes(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))
