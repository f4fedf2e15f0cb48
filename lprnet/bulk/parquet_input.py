"""Images in Parquet files: a column of bytes, or of objects with bytes, as Hugging Face has it."""

from collections.abc import Iterator
from typing import Any

import pyarrow
import pyarrow.parquet

from lprnet.bulk.parquet_pages import largest_page
from lprnet.runtime.image_file import BYTES_A_PIXEL, too_large
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError, one_line

DAMAGED = (OSError, ValueError, IndexError, pyarrow.ArrowException)
"""What pyarrow raises for files that are none; a name that is not UTF-8 is a `ValueError`, a row
group that is gone an `IndexError`."""
ROWS_AT_ONCE = 64
BATCH_BYTES = 64 << 20
"""Of the images that Arrow hands over at once, or one image: many rows may be the same value of a
dictionary, and each has its own copy.
"""
BYTES = "bytes"
"""The field with the image, of columns of objects."""
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


def parquet_sources(piece: dict[str, Any], max_pixels: int) -> Iterator[Source]:
    """The images of a row group; a row is named by the file and its number from 0. What is damaged
    or too large is a source with an error.
    """
    name, row = piece["parquet"], piece["first"]
    most = BYTES_A_PIXEL * max_pixels
    if not piece["rows"]:
        return  # nor need it have pages
    try:
        with pyarrow.parquet.ParquetFile(name, buffer_size=READ_BYTES, pre_buffer=False) as file:
            group, column = piece["group"], piece["column"]
            at_once = _rows_at_once(name, file.metadata.row_group(group), column)
            for batch in file.iter_batches(at_once, [group], [column]):
                images = batch.column(0)
                if pyarrow.types.is_struct(images.type):
                    images = images.field(BYTES)
                for content in images:
                    image = f"{name}/{row}"
                    row += 1
                    if not content.is_valid:
                        yield Source(image, error=f"the image {image} is missing")
                    elif content.as_buffer().size > most:
                        yield Source(image, error=too_large(f"the image {image}", max_pixels))
                    else:
                        yield Source(image, content.as_py())
            if row != piece["first"] + piece["rows"]:
                raise ValueError(f"a row group ends before row {row:,}")
    except DAMAGED as error:
        remedy = "copy it again, or write it with fewer rows a row group"
        yield Source(
            name, error=f"the Parquet file {name} cannot be read ({one_line(error)}); {remedy}"
        )


def _rows_at_once(name: str, group: pyarrow.parquet.RowGroupMetaData, column: str) -> int:
    """How many rows of a row group's `column` may be in memory. No value is larger than the page
    it is in, or that its dictionary is in.

    Raises `ValueError` for pages that are too large.
    """
    chunks = [group.column(index) for index in range(group.num_columns)]
    # Arrow goes by these names, in which a dot may be one of a name or the way into a struct.
    found = [one for one in chunks if f"{one.path_in_schema}.".startswith(f"{column}.")]
    if len(found) != 1:
        raise ValueError(f"{len(found)} columns are called {column}")
    begin, first = found[0].data_page_offset, found[0].dictionary_page_offset
    if first is not None and 0 < first < begin:
        begin = first
    with open(name, "rb") as file:
        largest = largest_page(file, begin, found[0].total_compressed_size)
    return max(1, min(ROWS_AT_ONCE, BATCH_BYTES // max(1, largest)))


def _column(name: str, schema: pyarrow.Schema, column: str | None) -> str:
    """Which column of bytes to read: its name, with that of its field if it has objects."""
    leaves = {field.name: _leaf(field) for field in schema}
    known = [field for field, leaf in leaves.items() if leaf is not None]
    if column is not None and column not in known:
        raise UserError(
            f"{name}: has no column {column} of bytes, but {', '.join(known) or 'none'}; "
            "give another --column"
        )
    if column is None and len(known) != 1:
        raise UserError(
            f"{name}: has {len(known)} columns of bytes ({', '.join(known)}); name one by --column"
        )
    return leaves[column or known[0]] or ""


def _leaf(field: pyarrow.Field) -> str | None:
    """The column of bytes that `field` is or has, without what else is in its objects."""
    if pyarrow.types.is_struct(field.type):
        return (
            f"{field.name}.{BYTES}"
            if any(one.name == BYTES and _holds_bytes(one.type) for one in field.type)
            else None
        )
    return field.name if _holds_bytes(field.type) else None


def _holds_bytes(kind: pyarrow.DataType) -> bool:
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))
