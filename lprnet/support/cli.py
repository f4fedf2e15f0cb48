"""What the scripts share: the options that name a variant, and how they end: the right exit code,
and one sentence for a mistake of the user.
"""

import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import NoReturn

from lprnet.support.errors import UserError

QUANTIZED = ("static", "weights")
PRUNED = ("structured", "unstructured", "depth-aware")
"""What a variant's two options take; the first is what they mean without a value."""
USER_ERROR = 2
INTERRUPTED = 128 + 2
"""What a shell reports for a process that ended with SIGINT."""
TERMINATED = 128 + 15
"""What a shell reports for a process that ended with SIGTERM."""
PIPE_CLOSED = 128 + 13
"""What a shell reports for a process that ended with SIGPIPE."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and exit with what it returns (`None` is 0).

    A `UserError` becomes one line on stderr and exit code 2, Ctrl-C exit code 130, `kill` 143, and
    a reader of our output who leaves early (`| head`) exit code 141; anything else is a defect and
    keeps its traceback. Whichever it is, what was half-written is removed. Output is UTF-8 whatever
    the locale; bytes of a file name that are not pass through.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
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


def add_variant(parser: ArgumentParser) -> None:
    """Let `parser` take `--quantized` and `--pruned`, None where they are not given."""
    parser.add_argument(
        "--quantized",
        nargs="?",
        const=QUANTIZED[0],
        choices=QUANTIZED,
        help="int8: weights and activations (static, the default) or weights alone",
    )
    parser.add_argument(
        "--pruned",
        nargs="?",
        const=PRUNED[0],
        choices=PRUNED,
        help="whole channels (structured, the default), the smallest 90 %% of all weights "
        "(unstructured), or 20, 90 and 90 %% of them by depth (depth-aware)",
    )
