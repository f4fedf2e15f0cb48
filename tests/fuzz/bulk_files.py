"""Mutants of tar and Parquet files, read as `lprnet bulk` reads its inputs."""

import gzip
import io
import json
import lzma
import random
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow
import pyarrow.parquet

from lprnet.bulk import plan
from lprnet.bulk.inputs import pieces
from lprnet.runtime.image_paths import SUFFIXES
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError
from tests.fuzz.parts import change_bytes

MAX_PEAK_KB = 1_000_000
MAX_PIXELS = 1 << 10
IMAGES = [random.Random(number).randbytes(50 + 20 * number) for number in range(20)]
IMAGES += [bytes(4096), bytes(4097)]
"""The last one has too many bytes."""
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.xz": lzma.compress,
}
FOOTER = 600
"""Bytes at the end of a Parquet file in which a change says what the others are."""


@cache
def tars() -> list[bytes]:
    files = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as tar:
            for number, image in enumerate(IMAGES):
                member = tarfile.TarInfo(f"{'ü' * 30 * (number % 5)}{number}.jpg")
                member.size = len(image)
                tar.addfile(member, io.BytesIO(image))
        files.append(file.getvalue())
    return files


@cache
def parquets() -> list[bytes]:
    objects = [{"bytes": image, "path": "x"} for image in IMAGES]
    options: list[dict[str, Any]] = [{}, {"compression": "none"}, {"data_page_version": "2.0"}]
    options += [{"use_dictionary": False, "compression": "gzip"}]
    options += [{"use_dictionary": False, "column_encoding": {"image.bytes": "DELTA_BYTE_ARRAY"}}]
    files = []
    for one in options:
        file = io.BytesIO()
        table = pyarrow.table({"image": pyarrow.array(objects)})
        pyarrow.parquet.write_table(table, file, row_group_size=7, **one)
        files.append(file.getvalue())
    return files


def mutate(rng: random.Random) -> tuple[str, bytes]:
    kind = rng.choice([*PACKED, ".parquet"])
    if kind == ".parquet":
        content = rng.choice(parquets())
        for _ in range(rng.choice([1, 1, 2, 4])):
            # Where pages begin, or in the footer.
            places = (content.find(image[:50]) for image in IMAGES)
            at = rng.choice([len(content) - FOOTER, *places])
            begin = max(0, at - rng.randrange(100))
            changed = change_bytes(content[begin : begin + FOOTER], rng)
            content = content[:begin] + changed + content[begin + FOOTER :]
        return kind, content
    content = rng.choice(tars())
    for _ in range(rng.choice([1, 1, 2, 4])):
        begin = tarfile.BLOCKSIZE * rng.randrange(40)  # most of these are headers
        header = content[begin : begin + tarfile.BLOCKSIZE]
        header = signed(change_bytes(header, rng)) if rng.random() < 0.8 else header[:100]
        content = content[:begin] + header + content[begin + tarfile.BLOCKSIZE :]
    content = PACKED[kind](content)
    return kind, change_bytes(content, rng) if rng.random() < 0.2 else content


def signed(header: bytes) -> bytes:
    """With the checksum of a header in its place."""
    total = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    return header[:148] + b"%06o\0 " % (total % 8**6) + header[156:]


def read(kind: str, content: bytes) -> list[Source]:
    """Raises `UserError` where anything of it is an error."""
    with NamedTemporaryFile(suffix=kind) as file:
        file.write(content)
        file.flush()
        found = list(pieces([file.name]))
        rows = sum(piece.get("rows", 0) for piece in found)
        sources = list(plan.sources(json.dumps(found), MAX_PIXELS))
    errors = [one.error for one in sources if one.error is not None]
    for sentence in errors:
        if "too many bytes" not in sentence and "more than" not in sentence:
            raise UserError(sentence)
    assert kind != ".parquet" or len(sources) == rows
    return sources


def check(kind: str, content: bytes, found: list[Source]) -> str | None:
    """What Arrow or `tarfile` alone reads is read; more than that of a tar, where `tarfile` ends at
    a field that is not looked at here.
    """
    if kind == ".parquet":
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content)).read(columns=["image.bytes"])
        expected = [one["bytes"] for one in table.column(0).to_pylist()]
    else:
        expected = list(members(content))
    more = len(found) - len(expected)
    if more < 0 or (more and kind == ".parquet"):
        return "another number of images than is in it"
    same = all(one.content in (None, image) for one, image in zip(found, expected, strict=False))
    return None if same else "other images than those that are in it"


def members(content: bytes) -> Iterator[bytes]:
    """The images of a tar, up to the first header that `tarfile` does not take."""
    with suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for one in tar:
            if one.isfile() and one.name.lower().endswith(tuple(SUFFIXES)):
                yield tar.extractfile(one).read()  # type: ignore[union-attr]
