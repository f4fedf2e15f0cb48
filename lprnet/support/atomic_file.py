"""Writes files atomically; a failure leaves no partial file and no empty folder."""

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lprnet.support.errors import UserError
from lprnet.support.sha256 import sha256


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to. It is renamed to `path` at the end, or removed if
    the block fails. What a killed process has left of the same file is removed too.

    Makes the folder. Raises `UserError` for errors of the operating system.
    """
    if path.is_dir():
        raise UserError(f"{path}: cannot be written (it is a folder); choose another place.")
    partial = path.with_name(f".{path.name}.{_place()}-{os.getpid()}.partial")
    with made_folder(path.parent):
        _remove_leftovers(path)
        try:
            yield partial
            partial.replace(path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror or error}); choose another place."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink()


def _place() -> str:
    """Names, in eight hexadecimal digits, the machine and the container whose process numbers this
    process knows: others may share the folder.
    """
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return sha256(f"{os.uname().nodename} {namespace}".encode()).hexdigest()[:8]


def _remove_leftovers(path: Path) -> None:
    """Remove temporary names of `path` whose process has ended without doing so itself."""
    beginning = f".{path.name}.{_place()}-"
    for partial in path.parent.glob(f"{glob.escape(beginning)}*.partial"):
        number = partial.name.removeprefix(beginning).removesuffix(".partial")
        if number.isdecimal() and not Path("/proc", number).exists():
            with suppress(OSError):
                partial.unlink()


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and its parents; if the block fails, remove those that were made and are empty.

    Raises `UserError` for errors of the operating system.
    """
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another output folder."
        ) from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a folder that is not empty stays, and its parents
            for place in missing:
                place.rmdir()
        raise


def check_writable(path: Path, needed: int) -> None:
    """Raise `UserError` where `atomic_write(path)` would fail, or has less than `needed` bytes of
    room: before work whose result would be lost. Creates nothing.
    """
    reason = why_not_writable(path)
    if reason is None:
        place = path.absolute()
        while not os.path.lexists(place):
            place = place.parent
        if shutil.disk_usage(place).free < needed:
            reason = f"{os.strerror(errno.ENOSPC)}; it takes up to {needed / 1e6:.0f} MB"
    if reason is not None:
        raise UserError(f"{path}: cannot be written ({reason}); choose another place.")


def why_not_writable(path: Path) -> str | None:
    """Why `atomic_write(path)` would fail, or, for a folder, `atomic_write` in it; None if it
    should not. Creates nothing.
    """
    place = path.absolute()
    if not os.path.isdir(place):
        place = place.parent
    while not os.path.lexists(place):
        place = place.parent
    if not os.path.isdir(place):
        return f"{place} is not a folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} is read-only"
    return None
