"""Images in tar files, as WebDataset has them: a member an image; other members are passed over."""

import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from lprnet.bulk.unpacking import unpacking
from lprnet.runtime.image_file import BYTES_A_PIXEL
from lprnet.runtime.image_paths import SUFFIXES
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError, one_line

SPLIT_BYTES = 64 << 20
"""A larger tar that is not compressed is read in ranges, of about as many bytes each."""
BLOCK = tarfile.BLOCKSIZE
ZEROS_AT_END = 1 << 20
"""The most bytes; `tar` pads to 10,240."""
PREFIXES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
"""Types of headers that belong to the member behind them."""
LONGEST_PREFIX = 1 << 20
"""Bytes behind such a header, which `tarfile` reads at once: of a compressed tar any number."""


class _Member(tarfile.TarInfo):
    """A member of which, where it is a plain file, only type, name and size are read: all that is
    asked for here. `tarfile` takes three times as long for the whole header.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        """The member of a header. Raises `ValueError` for one with too much in front of it."""
        size, end = buf[124:135], buf[135:136]
        plain = buf[156:157] == tarfile.REGTYPE and size.isdigit() and end in (b"\0", b" ")
        if not plain or not _is_whole(buf):
            found = super().frombuf(buf, encoding, errors)
            if found.type in PREFIXES and found.size > LONGEST_PREFIX:
                raise ValueError(f"a header has {found.size:,} bytes")
            return found
        member = cls()
        member.size = int(size, 8)
        name, prefix = (
            field.partition(b"\0")[0].decode(encoding, errors)
            for field in (buf[:100], buf[345:500])
        )
        member.name = f"{prefix}/{name}" if prefix else name
        return member


def _is_whole(header: bytes | bytearray) -> bool:
    """Whether the checksum of a header, the sum of its bytes with spaces in its own place, is that
    of the usual form: six octal digits, a zero byte and a space.
    """
    stored = header[148:156]
    if len(header) != BLOCK or not stored[:6].isdigit() or stored[6:] != b"\0 ":
        return False
    # Adler-32 begins with the sum of the bytes and 1, which is no larger than 16 bits for so few.
    halves = [zlib.adler32(half) & 0xFFFF for half in (header[:256], header[256:])]
    return int(stored[:6], 8) == sum(halves) - 2 - sum(stored) + 8 * ord(" ")


def tar_ranges(name: str) -> Iterator[dict[str, Any]]:
    """The ranges of the tar `name`: its offset, and the offset at which the next begins.

    Raises `UserError` if the file cannot be read.
    """
    try:
        size = os.stat(name).st_size
        begin = 0
        if name.lower().endswith(".tar") and size > SPLIT_BYTES:
            with open(name, "rb") as file:
                for offset in _members(file):
                    if offset - begin >= SPLIT_BYTES:
                        yield {"tar": name, "begin": begin, "end": offset}
                        begin = offset
        yield {"tar": name, "begin": begin, "end": None}
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror}); check the path") from error


def tar_sources(piece: dict[str, Any], max_pixels: int) -> Iterator[Source]:
    """The images in a range of a tar file. What is damaged is a source with an error."""
    name, end = piece["tar"], piece["end"]
    try:
        with open(name, "rb") as file:
            file.seek(piece["begin"])
            content, mode = unpacking(file) if piece["begin"] == 0 else (file, "r:")
            with tarfile.open(fileobj=content, mode=mode, tarinfo=_Member) as tar:  # type: ignore[call-overload]
                yield from _images(name, tar, end, max_pixels)
    except Exception as error:  # a damaged file can fail in any way its decompressor knows
        remedy = "copy it again or pack it anew"
        yield Source(name, error=f"the tar file {name} is damaged ({one_line(error)}); {remedy}")


def _images(name: str, tar: tarfile.TarFile, end: int | None, max_pixels: int) -> Iterator[Source]:
    content: IO[bytes] = tar.fileobj  # type: ignore[assignment]
    while (member := tar.next()) is not None and (end is None or member.offset < end):
        tar.members = []  # type: ignore[attr-defined]  # it would keep them all
        # These it keeps too, since they are for all members behind them.
        if sum(len(key) + len(value) for key, value in tar.pax_headers.items()) > LONGEST_PREFIX:
            raise tarfile.ReadError(f"its global headers have over {LONGEST_PREFIX:,} characters")
        if not member.isfile() or os.path.splitext(member.name)[1].lower() not in SUFFIXES:
            continue
        image = f"{name}/{member.name}"
        if member.size > BYTES_A_PIXEL * max_pixels:
            yield Source(image, error=f"the image file {image} has too many bytes (max_pixels)")
            continue
        if member.issparse():
            yield Source(image, error=f"the image file {image} is sparse; pack it as it is")
            continue
        content.seek(member.offset_data)
        whole = content.read(member.size)
        if len(whole) < member.size:
            raise tarfile.ReadError(f"it ends within {member.name}")
        yield Source(image, whole)
    if end is None:
        content.seek(tar.offset)
        if content.read(BLOCK).strip(b"\0"):
            raise tarfile.ReadError(f"no header at byte {tar.offset}")
        # Some zeros follow, and behind them the checksum of all that was unpacked.
        content.read(ZEROS_AT_END)


def _members(file: IO[bytes]) -> Iterator[int]:
    """The offsets at which members begin, up to the end or the first header that is none."""
    offset = begin = 0
    while True:
        file.seek(offset)
        header = file.read(BLOCK)
        try:
            stored, size = _number(header[148:156]), _number(header[124:136])
        except ValueError:
            return
        if stored != 8 * ord(" ") + sum(header[:148]) + sum(header[156:]):
            return
        kind = header[156:157]
        prefix = kind in PREFIXES
        if not prefix:
            yield begin
        offset += BLOCK
        if prefix or kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
            offset += -(-size // BLOCK) * BLOCK
        if not prefix:
            begin = offset


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or binary behind a byte 0x80 (GNU tar).

    Raises `ValueError` for anything else, the zeros at the end of a tar among them.
    """
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0"), 8)
