"""What a job reads, shard by shard: a file in its folder, a line of JSON a shard, written once.

So a job that goes on after it was killed reads what it would have read, whatever files have been
added meanwhile, and needs neither to list folders nor to be given stdin again.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lprnet.bulk.inputs import Piece
from lprnet.runtime.boxes import Box
from lprnet.runtime.source_reader import Source

FILE_NAME = "_plan.jsonl"


@dataclass(frozen=True)
class Extent:
    """How much a plan has."""

    shards: int
    plates: int | None
    """To read; None where a tar is among the inputs, whose members nobody has counted."""


def write_plan(pieces: Iterable[Piece], shard_size: int, path: Path) -> Extent:
    """Write the lines of a plan: consecutive pieces with `shard_size` plates, more where one piece
    has more; a range of a tar is a shard of its own. They are on the disk when this returns.
    """
    shards, images, counted = 0, 0, True
    held: list[Piece] = []
    size = 0
    with path.open("w", encoding="ascii") as file:

        def end_shard() -> None:
            nonlocal shards, size
            if held:
                file.write(json.dumps(held) + "\n")
                shards += 1
                held.clear()
                size = 0

        for piece in pieces:
            count = _count(piece)
            if count is None:
                end_shard()
            held.append(piece)
            size += count or 0
            images += count or 0
            counted = counted and count is not None
            if count is None or size >= shard_size:
                end_shard()
        end_shard()
        # The job that names it must not outlive it when the machine stops.
        file.flush()
        os.fsync(file.fileno())
    return Extent(shards, images if counted else None)


def places(path: Path) -> Iterator[tuple[int, int]]:
    """The number of each shard, and the byte at which its line begins."""
    with path.open("rb") as file:
        offset = 0
        for shard, line in enumerate(file):
            yield shard, offset
            offset += len(line)


def line_at(path: Path, offset: int) -> str:
    """The line that begins at byte `offset`."""
    with path.open(encoding="ascii") as file:
        file.seek(offset)
        return file.readline()


def sources(line: str, max_pixels: int) -> Iterator[Source]:
    """The images of a shard."""
    for piece in json.loads(line):
        if isinstance(piece, str):
            yield Source(piece)
        elif "tar" in piece:
            from lprnet.bulk.tar_input import tar_sources

            yield from tar_sources(piece, max_pixels)
        elif "parquet" in piece:
            from lprnet.bulk.parquet_input import parquet_sources

            yield from parquet_sources(piece, max_pixels)
        else:
            boxes = tuple(Box(tuple(numbers)) for numbers in piece["numbers"])
            yield Source(piece["boxes"], boxes=boxes)


def _count(piece: Piece) -> int | None:
    """The plates of a piece, where they are known."""
    if isinstance(piece, str):
        return 1
    if "parquet" in piece:
        return int(piece["rows"])
    return len(piece["numbers"]) if "boxes" in piece else None
