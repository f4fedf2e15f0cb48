"""The headers of a column chunk's pages, read before Arrow unpacks one.

A page is unpacked whole, and its header says how large it is then: a few hundred bytes may become
two gigabytes. The sizes in the file's footer bind nobody, so the headers themselves are looked at,
in the compact protocol of Thrift (https://github.com/apache/thrift,
doc/specs/thrift-compact-protocol.md) and the fields of parquet.thrift's `PageHeader`. What Arrow
could understand otherwise than this, as a field that is there twice, is refused.
"""

import os
from typing import IO, Any

MAX_PAGE = 128 << 20
"""Bytes of a page, uncompressed. Writers close a page after a megabyte, but look only once in about
a thousand images: 1,024 of 128 KB, or 100 of 1.3 MB, as Hugging Face writes a row group. Arrow may
hold such a page seven times, if it is a dictionary with one value.
"""
MAX_VALUES = 1 << 22
"""In a page, nulls too: Arrow makes room for as many lengths before it looks for them."""
HEADER_BYTES = 1 << 12
"""Read at once; a header is longer only where statistics in it hold images."""
MAX_HEADER = 16 << 20
"""Bytes; also Arrow's bound."""

UNCOMPRESSED, COMPRESSED = 2, 3
"""The fields of a page's sizes."""
KINDS_OF_PAGES = (5, 7, 8)
"""The fields of data, dictionary and data of version 2; the first field of each counts values."""
INTEGERS, BINARY, STRUCT = (4, 5, 6), 8, 12
"""Types of fields; lists and maps are in no header of a page."""
PASSED_OVER = {1: 0, 2: 0, 3: 1, 7: 8}
"""Types of fields that are true, false, a byte or a float, and how many bytes they have."""
DEEPEST = 3
"""The struct of a page, in it that of its kind, and in this statistics."""

DAMAGED = "the header of a page is damaged"

Fields = dict[int, Any]
"""Integers and structs by their numbers; other fields are None."""


def largest_page(file: IO[bytes], begin: int, length: int) -> int:
    """The bytes of the largest page, unpacked, of the column chunk in `length` bytes at `begin`.

    Raises `ValueError` for a page beyond `MAX_PAGE` or `MAX_VALUES`, and where no header is.
    """
    end, largest = begin + length, 0
    if not 0 <= begin < end <= file.seek(0, os.SEEK_END):
        raise ValueError(f"it has no pages at byte {begin:,}")
    while begin < end:
        header, taken = _header(file, begin)
        size = _size(header, UNCOMPRESSED)
        kinds = [kind for kind in KINDS_OF_PAGES if kind in header]
        values = max((_size(header[kind], 1) for kind in kinds), default=0)
        if size > MAX_PAGE or values > MAX_VALUES:
            raise ValueError(
                f"a page has {size:,} bytes and {values:,} values, more than {MAX_PAGE:,} or "
                f"{MAX_VALUES:,}"
            )
        largest = max(largest, size)
        begin += taken + _size(header, COMPRESSED)
    return largest


def _header(file: IO[bytes], begin: int) -> tuple[Fields, int]:
    """The header of a page and how many bytes it takes. Raises `ValueError`."""
    at_once = HEADER_BYTES
    while True:
        file.seek(begin)
        content = file.read(at_once)
        try:
            return _struct(content, 0, 1)
        except IndexError:
            if len(content) < at_once or at_once >= MAX_HEADER:
                raise ValueError(f"it has no page at byte {begin:,}") from None
        at_once = min(16 * at_once, MAX_HEADER)


def _struct(content: bytes, at: int, depth: int) -> tuple[Fields, int]:
    """The fields of the struct at byte `at`, and where it ends.

    Raises `IndexError` if that is not in `content`, `ValueError` for a field that is in no header.
    """
    found: Fields = {}
    number = 0
    while content[at]:
        step, kind = content[at] >> 4, content[at] & 15
        at += 1
        if step:
            number += step
        else:
            number, at = _integer(content, at)
        if number in found or not 0 < number < 1 << 15:
            raise ValueError(DAMAGED)
        value: int | Fields | None = None
        if kind in PASSED_OVER:
            at += PASSED_OVER[kind]
        elif kind in INTEGERS:
            value, at = _integer(content, at)
        elif kind == BINARY:
            length, at = _varint(content, at)
            at += length
        elif kind == STRUCT and depth < DEEPEST:
            value, at = _struct(content, at, depth + 1)
        else:
            raise ValueError(DAMAGED)
        found[number] = value
    return found, at + 1


def _integer(content: bytes, at: int) -> tuple[int, int]:
    """A signed number in zigzag order: 0, -1, 1, -2, ..."""
    value, at = _varint(content, at)
    return value >> 1 ^ -(value & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (content[at] & 127) << shift
        at += 1
        if content[at - 1] < 128:
            return value, at
    raise ValueError(DAMAGED)


def _size(fields: Any, number: int) -> int:
    """A field that must be there. Arrow would cut longer numbers to 32 bits."""
    value = fields.get(number) if isinstance(fields, dict) else None
    if not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise ValueError(DAMAGED)
    return value
