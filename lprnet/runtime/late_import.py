"""Modules that are imported when first needed: OpenCV at the first image or the first decoding, for
it takes as long as all the rest and logits need nothing of it; image formats other than JPEG at the
first such file; what a grammar needs at the first reading with one; thread pools, and `logging`
with them, for a recognizer with several threads.

A child that is forked while another thread imports a module waits for ever when it imports that
module itself: the lock of the import is held by a thread that the child has not. So a fork waits
until the import is done.
"""

import os
import threading
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_IMPORTING = threading.RLock()
os.register_at_fork(
    before=_IMPORTING.acquire,
    after_in_parent=_IMPORTING.release,
    after_in_child=_IMPORTING.release,
)


def allowed_columns() -> ModuleType:
    """The module `lprnet.runtime.allowed_columns`."""
    with _IMPORTING:
        from lprnet.runtime import allowed_columns
    return allowed_columns


def everything() -> None:
    """All of them now: a process that has no file descriptor left can import nothing."""
    for module in (allowed_columns, grammar, image_io, opencv, other_formats):
        module()


def grammar() -> ModuleType:
    """The module `lprnet.runtime.grammar`."""
    with _IMPORTING:
        from lprnet.runtime import grammar
    return grammar


def image_io() -> ModuleType:
    """The module `lprnet.runtime.image_io`."""
    with _IMPORTING:
        from lprnet.runtime import image_io
    return image_io


def opencv() -> ModuleType:
    """OpenCV."""
    with _IMPORTING:
        import cv2
    return cv2


def other_formats() -> ModuleType:
    """The module `lprnet.runtime.image_formats.others`."""
    with _IMPORTING:
        from lprnet.runtime.image_formats import others
    return others


def thread_pool(threads: int) -> "ThreadPoolExecutor":
    """A pool of so many threads."""
    with _IMPORTING:
        from concurrent.futures import ThreadPoolExecutor
    return ThreadPoolExecutor(threads)
