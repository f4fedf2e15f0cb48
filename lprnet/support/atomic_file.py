"""Files are written whole or not at all, and a failure leaves no empty folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lprnet.support.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` at the end, and goes if that fails.

    Makes the folder. Raises `UserError` for what the operating system refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with made_folder(path.parent):
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


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and its parents; where the block fails, those it made go if they are empty.

    Raises `UserError` for what the operating system refuses.
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
        with suppress(OSError):  # one that is not empty stays, and so do those above it
            for place in missing:
                place.rmdir()
        raise


def why_not_writable(path: Path) -> str | None:
    """Why `replacing(path)`, or of a folder `replacing` in it, would fail; None if it should not.

    Creates nothing.
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
