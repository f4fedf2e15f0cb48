"""xz files: whatever `xz` writes is read, and one that asks for gigabytes is an error."""

import io
import lzma
import random
import struct
import tarfile
import zlib
from pathlib import Path

import pytest

from lprnet.bulk.tar_input import tar_ranges, tar_sources
from lprnet.bulk.unpacking import XzStream
from lprnet.runtime.source_reader import Source

CONTENT = random.Random(0).randbytes(100_000) + bytes(300_000)
XZ = lzma.compress(CONTENT)


def read(path: Path) -> list[Source]:
    pieces = tar_ranges(str(path))
    return [source for piece in pieces for source in tar_sources(piece, 1 << 24)]


def tar(member: str = "a.jpg") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        one = tarfile.TarInfo(member)
        one.size = len(CONTENT)
        opened.addfile(one, io.BytesIO(CONTENT))
    return file.getvalue()


@pytest.mark.parametrize(
    ("packed", "content"),
    [
        (XZ, CONTENT),
        (XZ + bytes(8) + XZ + bytes(1 << 18), CONTENT + CONTENT),
        (lzma.compress(b""), b""),
        (lzma.compress(b"") + XZ, CONTENT),
    ],
)
def test_streams_behind_one_another_are_one_content(packed: bytes, content: bytes) -> None:
    assert io.BufferedReader(XzStream(io.BytesIO(packed))).read() == content


def test_any_byte_can_be_gone_to() -> None:
    file = io.BufferedReader(XzStream(io.BytesIO(XZ)))
    for place in (250_000, 10, 99_999, 399_999, 0, 1 << 20):
        file.seek(place)
        assert file.read(100) == CONTENT[place : place + 100]


@pytest.mark.parametrize("packed", [XZ[:-1], XZ[:5000], XZ + b"x", XZ + XZ[:20]])
def test_a_file_that_is_cut_or_goes_on_is_damaged(packed: bytes) -> None:
    with pytest.raises((EOFError, lzma.LZMAError)):
        io.BufferedReader(XzStream(io.BytesIO(packed))).read()


def with_dictionary(packed: bytes, size: int) -> bytes:
    """The file with another dictionary stated in its first block: `size` as LZMA2 encodes it."""
    content = bytearray(packed)
    end = 12 + 4 * (content[12] + 1)
    content[content.index(b"\x21\x01", 12, end) + 2] = size
    content[end - 4 : end] = struct.pack("<I", zlib.crc32(content[12 : end - 4]))
    return bytes(content)


def test_a_dictionary_of_gigabytes_is_an_error_and_that_of_xz_9_is_not(tmp_path: Path) -> None:
    """Bytes 28 and 38 are 64 MB and 2 GB; the file is the same besides."""
    packed = lzma.compress(tar())
    path = tmp_path / "a.tar.xz"
    path.write_bytes(with_dictionary(packed, 28))
    assert read(path) == [Source(f"{path}/a.jpg", CONTENT)]
    path.write_bytes(with_dictionary(packed, 38))
    (one,) = read(path)
    assert "(Memory usage limit exceeded)" in str(one.error)


def test_a_tar_may_begin_as_a_compressed_file_does(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar("BZh9.jpg"))
    assert read(path) == [Source(f"{path}/BZh9.jpg", CONTENT)]
