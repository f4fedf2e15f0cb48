"""Images in tar files, as WebDataset has them: a member an image; other members are passed over."""

import os
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from lprnet.runtime.image_file import BYTES_A_PIXEL
from lprnet.runtime.image_paths import SUFFIXES
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError, one_line

SPLIT_BYTES = 64 << 20
"""A larger tar that is not compressed is read in ranges, of about as many bytes each."""
BLOCK = tarfile.BLOCKSIZE
PREFIXES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
"""Types of headers that belong to the member behind them."""


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
            with tarfile.open(fileobj=file, mode="r:*" if end is None else "r:") as tar:
                yield from _images(name, tar, end, max_pixels)
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        yield Source(
            name, error=f"the tar file {name} is damaged ({one_line(error)}); copy it again"
        )


def _images(name: str, tar: tarfile.TarFile, end: int | None, max_pixels: int) -> Iterator[Source]:
    content: IO[bytes] = tar.fileobj  # type: ignore[assignment]
    while (member := tar.next()) is not None and (end is None or member.offset < end):
        tar.members = []  # type: ignore[attr-defined]  # it would keep them all
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
