"""What the walk over a file's parts finds: one still picture, and what decoding it will cost."""

from typing import NamedTuple

MAX_PARTS = 65_536
"""Segments, chunks or strips of a file: a photo has a few thousand at most, and walking over
millions of empty ones takes seconds."""
TOO_MANY_PARTS = f"has more than {MAX_PARTS:,} parts"


class UnreadFormat(ValueError):
    """The file may be whole, but it is of a kind that is not read."""


class Picture(NamedTuple):
    """The still picture of a file; nothing of it is decoded yet."""

    width: int
    height: int
    """In pixels as stored, before any EXIF rotation."""
    content: bytes
    """A file of the same format that holds this picture and nothing else. Decoders have crashed on
    later frames and spent minutes on texts and EXIF data, so they do not get to see any."""
    cost: int
    """The time and memory that decoding takes, in pixels of a JPEG of one scan."""
