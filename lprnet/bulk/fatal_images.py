"""Images that end the process that decodes them: found one by one, each in a process of its own.

Known kinds are refused before a decoder sees them (`lprnet/runtime/image_header.py`); this is for
those that nobody knows yet.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress

from lprnet.runtime.image_file import file_content
from lprnet.runtime.image_io import decode_picture
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError

FATAL = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGALRM}
)
"""How code ends that goes wrong, and, by the last one, code that does not end."""
SECONDS = 60
"""That decoding one image may take."""


def without_fatal(sources: Iterable[Source], max_pixels: int) -> Iterator[Source]:
    """The same sources, but those that end a process that decodes them have an error instead."""
    for source in sources:
        content = source.content
        if content is None and source.error is None:
            with suppress(UserError):  # the reader of the source meets it too, and says so
                content = file_content(source.name, max_pixels)
        how = None if content is None else _ended(content, max_pixels)
        if how is None:
            yield source._replace(content=content)
        else:
            error = f"the image file {source.name} ends its decoder ({how}); leave it out"
            yield source._replace(content=None, error=error)


def _ended(content: bytes, max_pixels: int) -> str | None:
    """The signal by which a process ends that decodes `content`; None if it ends by itself."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        with suppress(BaseException):
            decode_picture(content, "it", max_pixels)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return signal.Signals(-code).name if code < 0 else None
