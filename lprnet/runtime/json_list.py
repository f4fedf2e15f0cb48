"""A JSON list item by item: objects of Python take thirty times the bytes of small ones."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

BLOCK = 1 << 16
"""Characters read at once."""
LONGEST_ITEM = 1 << 20
"""Characters."""

BEHIND = " \t\n\r,]"
"""The characters that may stand behind an item."""

_DECODE = json.JSONDecoder().raw_decode
_SPACES = re.compile(r"[ \t\n\r]*")


def json_items(file: IO[str]) -> Iterator[Any]:
    """The items of the list in `file`, of which one is in memory at a time.

    Raises `ValueError` for what is no JSON list, and for an item of over `LONGEST_ITEM` characters
    and a block, once the items before have been given; `RecursionError` as `json` does.
    """
    text = _Text(file)
    if text.mark() != "[":
        raise ValueError("is missing: the file is no list of objects")
    text.at += 1
    mark = "," if text.mark() != "]" else "]"
    text.at += mark == "]"
    while mark == ",":
        yield text.item()
        mark = text.mark()
        text.at += 1
        if mark not in (",", "]"):
            raise ValueError("is not followed by a comma")
        text.mark()
    if text.mark():
        raise ValueError("is followed by more than a list")


class _Text:
    """A part of a file's text, from which reading goes on at `at`."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._text, self.at = file, "", 0

    def mark(self) -> str:
        """The next character that is no space, at `at` then; "" at the end of the file."""
        while True:
            spaces = _SPACES.match(self._text, self.at)
            assert spaces is not None  # no space is a match too
            self.at = spaces.end()
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def item(self) -> Any:
        """The value at `at`, which is behind it then."""
        while True:
            try:
                value, end = _DECODE(self._text, self.at)
            except json.JSONDecodeError as error:  # or it is cut short
                if not self._more():
                    raise ValueError(f"is no JSON ({error.msg})") from error
                continue
            # A number may go on: 1, 1. and 1.5e are the beginnings of one.
            if end < len(self._text) and self._text[end] in BEHIND:
                self.at = end
                return value
            if not self._more():
                raise ValueError("is not followed by a comma")

    def _more(self) -> bool:
        """Read a block; False at the end of the file. Raises `ValueError` where too much waits."""
        if len(self._text) - self.at > LONGEST_ITEM:
            raise ValueError("is too long")
        block = self._file.read(BLOCK)
        self._text, self.at = self._text[self.at :] + block, 0
        return bool(block)
