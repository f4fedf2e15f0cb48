"""The bytes of an image file, unless there are too many."""

import errno
import os
import stat

from lprnet.support.errors import UserError

BYTES_A_PIXEL = 4
"""The largest file that is read is one of the most pixels allowed, uncompressed."""
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors of a path that leads to nothing."""


def file_content(path: str | os.PathLike[str], max_pixels: int) -> bytes:
    """All of the file at `path`, of an image of at most `max_pixels`.

    It is opened once, so that what is checked is what is read, and without waiting, as opening a
    pipe does. Raises `UserError` if it is missing, no file, too large or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in NOT_THERE:
            raise UserError(f"the image file {path} is missing; check the path") from error
        if error.errno == errno.ENXIO:
            raise UserError(f"the image file {path} is not a file; check the path") from error
        raise UserError(f"cannot read the image file {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"the image file {path} is missing; check the path") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"the image file {path} is not a file; check the path")
        if status.st_size > BYTES_A_PIXEL * max_pixels:
            raise UserError(too_large(f"the image file {path}", max_pixels))
        return _whole(descriptor, status.st_size)
    except OSError as error:
        raise UserError(f"cannot read the image file {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _whole(descriptor: int, size: int) -> bytes:
    """The `size` bytes of an open file, or as many as there are: a signal may cut a read short."""
    content = os.read(descriptor, size)
    if len(content) == size:
        return content
    parts = [content]
    while parts[-1] and (left := size - sum(map(len, parts))):
        parts.append(os.read(descriptor, left))
    return b"".join(parts)


def too_large(name: str, max_pixels: int) -> str:
    """What is wrong with a file of more bytes."""
    most = BYTES_A_PIXEL * max_pixels
    return f"{name} has more than {most:,} bytes, {BYTES_A_PIXEL} for each of max_pixels"
