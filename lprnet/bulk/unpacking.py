"""How `tarfile` is given a tar that may be compressed, and the content of an xz file.

xz is not left to `tarfile`: a file says by the size of its dictionary how much memory unpacking it
takes, up to 4 GB, and the standard library's `LZMAFile` has no bound on that.
"""

import io
import lzma
from typing import IO

GZIP, XZ = b"\x1f\x8b", b"\xfd7zXZ\0"
BZIP2, FIRST_BLOCK = b"BZh", b"1AY&SY"
"""What such files begin with; a digit is between these two."""
MAX_MEMORY = 128 << 20
"""Bytes of the decompressor; it takes 66 MB for what `xz -9` writes."""
BLOCK = 1 << 16
"""Bytes read at once."""


def unpacking(file: IO[bytes]) -> tuple[IO[bytes], str]:
    """What `tarfile` shall read, and in which mode: by what `file` begins with, not by its name."""
    begin = file.read(10)
    file.seek(0)
    if begin.startswith(XZ):
        return io.BufferedReader(XzStream(file)), "r:"
    if begin.startswith(GZIP):
        return file, "r:gz"
    # A tar begins with the name of a member, which may be "BZh".
    return file, "r:bz2" if begin.startswith(BZIP2) and begin.endswith(FIRST_BLOCK) else "r:"


class XzStream(io.RawIOBase):
    """Reads what `file`, an xz file of one or more streams, holds.

    Raises `lzma.LZMAError` for damage and for more memory than `MAX_MEMORY`, `EOFError` where the
    file ends within a stream.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        self._position = 0
        self._decompressor = _decompressor()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to byte `offset` of the content; back takes as long as from the beginning."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only the beginning of an xz file is known")
        if offset < self._position:
            self._begin()
        while offset > self._position and self.read(min(BLOCK, offset - self._position)):
            pass
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        content = b""
        while not content:
            block = b""
            if self._decompressor.eof:
                block = self._next_stream()
                if not block:
                    break
                self._decompressor = _decompressor()
            elif self._decompressor.needs_input:
                block = self._file.read(BLOCK)
                if not block:
                    raise EOFError("it ends within an xz stream")
            content = self._decompressor.decompress(block, len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _next_stream(self) -> bytes:
        """Its first bytes, behind the zeros that may fill up a stream; none at the end."""
        block = self._decompressor.unused_data
        while not (begin := block.lstrip(b"\0")):
            block = self._file.read(BLOCK)
            if not block:
                break
        return begin


def _decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_MEMORY)
