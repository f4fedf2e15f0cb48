"""Tables on stdout: as wide as they are in a file or a pipe, as wide as the terminal on one.

Columns stand in the order of their importance: a narrow terminal leaves out the last ones and says
so. No cell is cut.
"""

import io
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from lprnet.support.file_names import printable

MAX_CHARACTERS = 100_000
"""A line that no table fills."""
MIN_COLUMNS = 2


def print_tables(tables: Iterable[Table]) -> None:
    """Print `tables`, whose titles and captions are whole lines."""
    for table in tables:
        print(rendered(table, terminal_width()))


def terminal_width() -> int | None:
    """The characters of a line of the terminal that stdout is; None where it is none."""
    return Console().width if sys.stdout.isatty() else None


def rendered(table: Table, width: int | None) -> str:
    """`table` as text for lines of `width` characters, None for any. Changes `table`.

    Square brackets are text, not rich's markup: paths may hold them.
    """
    title, caption = table.title, table.caption
    table.title = table.caption = None
    limit = MAX_CHARACTERS if width is None else width
    console = Console(
        file=io.StringIO(),
        width=limit,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=width is not None,
        color_system="auto" if width is not None else None,
    )
    if table.show_header:
        caption = _fit(table, limit, console, str(caption or ""))
    with console.capture() as captured:
        console.print(table)
    title = title and printable(str(title))
    lines = (title, captured.get().rstrip("\n"), caption)
    return "\n".join(str(line) for line in lines if line)


def _fit(table: Table, width: int, console: Console, caption: str) -> str:
    """Leave out the last columns of `table` until it has whole words in each. Returns `caption`
    with what was left out.
    """
    for column in table.columns:
        column.no_wrap = True
    dropped: list[str] = []
    while (
        len(table.columns) > MIN_COLUMNS
        and Measurement.get(console, console.options.update(width=MAX_CHARACTERS), table).maximum
        > width
    ):
        dropped.insert(0, str(table.columns.pop().header))
    table.columns[0].overflow = "fold"
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", False
    if not dropped:
        return caption
    note = f"left out for want of width: {', '.join(dropped)}; a file or a pipe has them"
    return f"{caption}\n{note}" if caption else note
