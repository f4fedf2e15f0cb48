"""How every script ends: the right exit code, and one sentence for a mistake of the user."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from lprnet.errors import UserError

USER_ERROR = 2
INTERRUPTED = 128 + 2
"""What a shell reports for a process that ended with SIGINT."""
PIPE_CLOSED = 128 + 13
"""What a shell reports for a process that ended with SIGPIPE."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and exit with what it returns (`None` is 0).

    A `UserError` becomes one line on stderr and exit code 2, Ctrl-C exit code 130, and a reader of
    our output who leaves early (`| head`) exit code 141; anything else is a defect and keeps its
    traceback. Output is UTF-8 whatever the locale; bytes of a file name that are not pass through.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    try:
        status = main() or 0
        sys.stdout.flush()
    except UserError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        status = USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give that somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = PIPE_CLOSED
    sys.exit(status)
