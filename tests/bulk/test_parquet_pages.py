"""Parquet files that state or unpack to more than they should: what memory they take, and that no
statement of theirs is believed.
"""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from lprnet.bulk import parquet_pages
from lprnet.bulk.parquet_input import parquet_sources, row_groups
from lprnet.bulk.parquet_pages import largest_page
from lprnet.runtime.source_reader import Source

MAX_PIXELS = 1 << 24
PEAK = """
import sys
from lprnet.bulk.parquet_input import parquet_sources, row_groups
found = [len(one.content or one.error) for piece in row_groups(sys.argv[1], None)
         for one in parquet_sources(piece, 1 << 24)]
status = open("/proc/self/status").read()
print(len(found), min(found), status.split("VmHWM:")[1].split()[0])
"""
"""How many images it reads, the bytes of the smallest, and the most kilobytes it ever held."""


def write(path: Path, images: list[bytes], **options: Any) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"image": images}), path, **options)


def read(path: Path) -> list[Source]:
    pieces = list(row_groups(str(path), None))
    return [one for piece in pieces for one in parquet_sources(piece, MAX_PIXELS)]


@pytest.mark.parametrize(
    "options",
    [{}, {"use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY"}}],
)
def test_a_kilobyte_that_unpacks_to_gigabytes_takes_little_memory(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """64 rows of one image of 28 MB: 1.8 GB, were all of them there at once."""
    path = tmp_path / "a.parquet"
    write(path, [bytes(28 << 20)] * 64, compression="zstd", **options)
    assert path.stat().st_size < 2000
    command = [sys.executable, "-c", PEAK, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    images, smallest, kilobytes = map(int, said.split())
    assert (images, smallest) == (64, 28 << 20)
    assert kilobytes < 700_000


def test_a_page_is_too_large_whatever_the_footer_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    write(path, [bytes(1000)] * 3, use_dictionary=False, compression="zstd")
    chunk = pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0)
    stated = varint(2 * chunk.total_uncompressed_size)
    less = bytes([0x80 | 20, *[0x80] * (len(stated) - 2), 0])
    path.write_bytes(path.read_bytes().replace(stated, less))
    lying = pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0)
    assert lying.total_uncompressed_size == 10
    assert [one.content for one in read(path)] == [bytes(1000)] * 3
    monkeypatch.setattr(parquet_pages, "MAX_PAGE", 3000)
    (one,) = read(path)
    assert "a page has 3,018 bytes and 3 values" in str(one.error)
    assert "write it with fewer rows a row group" in str(one.error)


def test_an_image_of_too_many_bytes_is_an_error_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [bytes(401), bytes(400)])
    (piece,) = row_groups(str(tmp_path / "a.parquet"), None)
    large, small = parquet_sources(piece, 100)
    assert "more than 400 bytes" in str(large.error)
    assert small.content == bytes(400)


def test_rows_that_are_stated_and_not_there_are_an_error(tmp_path: Path) -> None:
    """In each place of the footer that may state how many there are."""
    path = tmp_path / "a.parquet"
    plain = {"use_dictionary": False, "store_schema": False, "write_statistics": False}
    write(path, [b"image"] * 20, **plain)
    content = path.read_bytes()
    missing = 0
    for place in range(content.index(b"schema"), len(content) - 8):
        if content[place] == 2 * 20:
            path.write_bytes(content[:place] + bytes([2 * 30]) + content[place + 1 :])
            (piece,) = row_groups(str(path), None)
            *images, last = parquet_sources(piece, MAX_PIXELS)
            if piece["rows"] == 20:
                assert last.error is None
                assert len(images) == 19
            else:
                assert "ends before row 20" in str(last.error)
                assert len(images) == 20
                missing += 1
    assert missing == 1


def test_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    """`image.bytes` is a name, and the way to the bytes of `image`."""
    names = ["image", "image.bytes"]
    columns = [pyarrow.array([{"bytes": b"x"}]), pyarrow.array([1])]
    pyarrow.parquet.write_table(pyarrow.table(columns, names), tmp_path / "a.parquet")
    (one,) = read(tmp_path / "a.parquet")
    assert "2 columns are called image.bytes" in str(one.error)


def test_a_row_group_without_rows_is_read(tmp_path: Path) -> None:
    table = pyarrow.table({"image": [b"x"]})
    with pyarrow.parquet.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for part in (table, table.slice(0, 0), table):
            writer.write_table(part)
    assert [one.content for one in read(tmp_path / "a.parquet")] == [b"x", b"x"]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"compression": "zstd"}])
def test_whatever_writes_pages_is_read(
    version: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Pages of a few images; their headers are longer than one look, by statistics of images."""
    path = tmp_path / "a.parquet"
    images = [os.urandom(4000) + bytes(2 * number) for number in range(40)]
    small = {"data_page_size": 9000, "write_batch_size": 1, "row_group_size": 25}
    write(path, images, data_page_version=version, **small, **options)
    assert [one.content for one in read(path)] == images
    chunk = pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0)
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    with path.open("rb") as file:
        largest = largest_page(file, begin, chunk.total_compressed_size)
    assert 9000 <= largest < (25 * 4100 if "use_dictionary" not in options else 14_000)


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def integer(step: int, number: int) -> bytes:
    """A field of 32 bits, its number so many beyond the one before."""
    return bytes([step << 4 | 5]) + varint(2 * number if number >= 0 else -2 * number - 1)


def page(size: int = 50, values: int = 3, front: bytes = b"", inside: bytes = b"") -> bytes:
    """A data page without compression, or what its header says of it."""
    header = integer(1, 0) + integer(1, size) + integer(1, 50) + front
    return header + b"\x2c" + integer(1, values) + inside + b"\0\0" + bytes(50)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (page(size=(128 << 20) + 1), "a page has 134,217,729 bytes"),
        (page(values=1 << 30), "1,073,741,824 values"),
        (page(values=-1), "damaged"),
        (page(size=1 << 31), "damaged"),
        (page(size=(1 << 32) + 5), "damaged"),
        (page(front=b"\x05\x04\x05"), "damaged"),  # field 2 again
        (page(front=b"\x19\x05\x00"), "damaged"),  # a list
        (page(inside=b"\x1c\x1c\x1c\0\0\0"), "damaged"),  # statistics with structs
        (page(inside=b"\x18" + varint(1 << 40)), "no page at byte 0"),
        (integer(1, 0) + b"\0", "damaged"),
        (b"\x15" + b"\xff" * 11, "damaged"),
        (b"\x15", "no page"),
        (b"", "no pages"),
    ],
)
def test_headers_that_lie_are_refused(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        largest_page(io.BytesIO(content), 0, len(content))


def test_headers_are_read_as_they_are_written() -> None:
    skipped = b"\x11\x12\x13\x07\x17" + bytes(8) + b"\x18\x03abc"  # true, false, byte, float, text
    pages = [page(), page(size=70, front=b"\x16\x02"), page(size=60, inside=skipped)]
    content = b"PAR1" + b"".join(pages)
    assert largest_page(io.BytesIO(content), 4, len(content) - 4) == 70
    with pytest.raises(ValueError, match="no pages at byte 4"):
        largest_page(io.BytesIO(content), 4, len(content))
