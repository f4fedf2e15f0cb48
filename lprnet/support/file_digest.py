"""The SHA-256 of files, in hexadecimal."""

import hashlib
from pathlib import Path
from typing import IO

BLOCK = 1 << 20
"""Bytes in memory at once."""


def file_digest(path: Path) -> str:
    """Of the file at `path`. Raises `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return rest_digest(file)


def rest_digest(file: IO[bytes]) -> str:
    """Of all that is left of `file`."""
    state = hashlib.sha256()
    while block := file.read(BLOCK):
        state.update(block)
    return state.hexdigest()
