"""Tables in Markdown, for the README and the files in `docs/`.

Written by hand, because `rich.box.MARKDOWN` has no alignment and pads every cell.
"""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is left-aligned and whose others are right-aligned, as lines
    without a final newline.
    """
    rule = ["---", *["---:"] * (len(columns) - 1)]
    lines = [" | ".join(cells) for cells in (columns, *rows)]
    head, *body = [f"| {line} |" for line in lines]
    return "\n".join([head, f"|{'|'.join(rule)}|", *body])
