"""The zeros around a padded tensor, whose middle another kernel writes."""

from collections.abc import Sequence

from tvm import tirx


def zeros_around(buffer: tirx.Buffer, pad_width: Sequence[int]) -> list[tirx.Stmt]:
    """Statements that set the border of `buffer`, `(height, width, channels)`, to 0; `pad_width` is
    (top, bottom, left, right, ...).
    """
    (top, bottom), (left, right) = pad_width[0:2], pad_width[2:4]
    height, width, channels = (int(extent) for extent in buffer.shape)
    rectangles = (
        (range(top), range(width)),
        (range(height - bottom, height), range(width)),
        (range(top, height - bottom), range(left)),
        (range(top, height - bottom), range(width - right, width)),
    )
    return [
        _zero(buffer, rows, columns, channels) for rows, columns in rectangles if rows and columns
    ]


def _zero(buffer: tirx.Buffer, rows: range, columns: range, channels: int) -> tirx.Stmt:
    """Zeros in all channels of a rectangle."""
    row, column, channel = (tirx.Var(name, "int32") for name in ("row", "column", "channel"))
    indices = [row + rows.start, column + columns.start, channel]
    body: tirx.Stmt = tirx.BufferStore(buffer, tirx.const(0, str(buffer.dtype)), indices)
    for var, extent, kind in (
        (channel, channels, tirx.ForKind.VECTORIZED),
        (column, len(columns), tirx.ForKind.SERIAL),
        (row, len(rows), tirx.ForKind.SERIAL),
    ):
        body = tirx.For(var, 0, extent, kind, body)
    return body
