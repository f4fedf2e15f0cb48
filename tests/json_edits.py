"""Edits of JSON documents, for tests of what reads them."""

from typing import Any

REMOVED = object()
"""The value that stands for none: its key or item is taken out."""


def places(content: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of each value of a JSON document, below the document itself."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    return [found for key, one in items for found in ((*prefix, key), *places(one, (*prefix, key)))]


def edit(content: Any, place: tuple[str | int, ...], value: Any) -> None:
    """Replace or remove the value at `place` of a JSON document."""
    *outer, last = place
    for key in outer:
        content = content[key]
    if value is REMOVED:
        del content[last]
    else:
        content[last] = value
