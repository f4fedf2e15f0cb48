"""OpenCV, imported at the first image: it takes as long as loading an artifact, and logits need
nothing of it.

A child that is forked while another thread imports a module waits for ever when it imports that
module itself: the lock of the import is held by a thread that the child has not. So a fork waits
until the import is done.
"""

import os
import threading
from types import ModuleType

_IMPORTING = threading.RLock()
os.register_at_fork(
    before=_IMPORTING.acquire,
    after_in_parent=_IMPORTING.release,
    after_in_child=_IMPORTING.release,
)


def image_io() -> ModuleType:
    """The module `lprnet.runtime.image_io`."""
    with _IMPORTING:
        from lprnet.runtime import image_io
    return image_io
