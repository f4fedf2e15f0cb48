"""How every command ends: the right exit code, and one sentence for a mistake of the user.

Imports only what Python itself has loaded already, so that Ctrl-C is handled from the start.
"""

import errno
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from lprnet.support.errors import UserError
from lprnet.support.file_names import printable, utf8_json

USER_ERROR = 2
INTERRUPTED = 128 + 2
"""What a shell reports for a process that ended with SIGINT."""
TERMINATED = 128 + 15
"""What a shell reports for a process that ended with SIGTERM."""
PIPE_CLOSED = 128 + 13
"""What a shell reports for a process that ended with SIGPIPE."""

SAME = 1.0
"""Seconds in which another signal says the same, so that it does not end what the first has begun
to remove: a terminal tells a whole group of processes, and a parent in there its children too.
"""

NO_PLACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors of a file system that takes no file, met where nobody looked for them first."""


class OutputError(OSError):
    """The operating system does not take what is written to stdout."""


class _Output(io.FileIO):
    """The file of stdout; its errors are distinguishable from those of other files."""

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            raise OutputError(*error.args) from error


class _Messages(io.FileIO):
    """The file of stderr. What it does not take is dropped: no message is worth the results."""

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return len(data)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and exit with what it returns (`None` is 0).

    A `UserError` becomes one line on stderr and exit code 2, and so does a stdout that is closed
    or cannot be written, and a disk that is full. Ctrl-C gives exit code 130, `kill` 143, and a
    reader of our output who leaves early (`| head`) 141. Anything else is a defect and keeps its
    traceback. Whichever it is, what was half-written is removed. Output is UTF-8 whatever the
    locale. A stderr that is closed or cannot be written is as good as /dev/null.
    """
    received: list[int] = []
    """Signals: code that they interrupt, such as TVM's, may turn their exceptions into others."""
    before, hook = _handle_signals(received), sys.unraisablehook
    sys.unraisablehook = _raised_again(received, hook)
    try:
        _prepare_streams()
        try:
            status = main() or 0
        except SystemExit as end:  # argparse, after --help
            if received:
                raise
            status = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
    except BaseException as error:
        expected = _status_of(error, received)
        if expected is None:
            raise
        status = expected
    if signal.SIGALRM in received:  # another's timer goes on
        signal.setitimer(signal.ITIMER_REAL, 0)
    sys.unraisablehook = hook
    for number, handler in before.items():
        # No traceback out of Python's own exit; a notebook goes on and gets its handlers back.
        _set_handler(number, handler if hasattr(sys, "ps1") else signal.SIG_DFL)
    # Where a signal has interrupted the code of a string, as dataclasses have it, Python would end
    # by SIGINT whatever is done about the exception. The next such code makes it forget that.
    exec("")
    sys.exit(status)


def _handle_signals(received: list[int]) -> dict[int, object]:
    """Let Ctrl-C and `kill` raise, noted in `received`, and SIGALRM, by which one of them comes
    again (`_raised_again`). Returns the handlers that this replaces.
    """
    first = -SAME  # of the clock of the machine, which began at 0

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal first
        if number != signal.SIGALRM:
            received.append(number)
            if time.monotonic() - first < SAME:
                return
            first = time.monotonic()
        raise KeyboardInterrupt

    before: dict[int, object] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        old = signal.getsignal(number)
        # A shell's background job ignores SIGINT; outside the main thread nothing can be set.
        if old not in (signal.SIG_IGN, None) and _set_handler(number, interrupt):
            before[number] = old
    return before


def _raised_again(
    received: list[int], hook: "Callable[[sys.UnraisableHookArgs], object]"
) -> "Callable[[sys.UnraisableHookArgs], object]":
    """A hook for exceptions that a `__del__` cannot raise: a signal's comes again a moment later,
    in code that can. After a signal others are its consequences, such as PyTorch's error for a
    process that got it too; before, they go to `hook`.
    """

    def swallowed(error: "sys.UnraisableHookArgs") -> None:
        if not received:
            hook(error)
        elif error.exc_type is KeyboardInterrupt:
            received.append(signal.SIGALRM)
            signal.setitimer(signal.ITIMER_REAL, 0.01)

    return swallowed


def _set_handler(number: int, handler: object) -> bool:
    """Whether `handler` could be set: only the main thread may."""
    try:
        signal.signal(number, handler)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def _prepare_streams() -> None:
    """UTF-8 streams on open files. Raises `UserError` where stdout is closed."""
    # The number of a closed stream would be that of the next file opened, and messages go into it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        raise UserError("stdout is closed; send it to a file or to /dev/null")
    if type(sys.stderr) is io.TextIOWrapper:  # a notebook's is not
        sys.stderr = _rewrapped(sys.stderr, _Messages)
    if type(sys.stdout) is io.TextIOWrapper:
        sys.stdout = _rewrapped(sys.stdout, _Output)


def _rewrapped(stream: io.TextIOWrapper, kind: type[io.FileIO]) -> io.TextIOWrapper:
    """A UTF-8 stream on the descriptor of `stream`, by way of `kind`."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(kind(stream.fileno(), "w", closefd=False)),
        encoding="utf-8",
        errors="surrogateescape",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _status_of(error: BaseException, received: list[int]) -> int | None:
    """The exit code for `error`, with its sentence printed; None for a defect."""
    if received or isinstance(error, KeyboardInterrupt):
        if signal.SIGTERM in received:
            return TERMINATED
        _say("interrupted")
        return INTERRUPTED
    if isinstance(error, UserError):
        _say(f"error: {' '.join(str(error).split())}")
        return USER_ERROR
    if isinstance(error, OutputError):
        # Python flushes stdout once more at exit; give that somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            return PIPE_CLOSED
        _say(f"error: stdout cannot be written ({error.strerror}); choose another place")
        return USER_ERROR
    if isinstance(error, OSError) and error.errno in NO_PLACE:
        place = error.filename or "a file"
        _say(f"error: {place} cannot be written ({error.strerror}); make room or choose another")
        return USER_ERROR
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error.strerror):
        _say(f"error: {error.strerror}; set TMPDIR to a folder that can be written")  # by tempfile
        return USER_ERROR
    return None


def _say(message: str) -> None:
    """Print one line on stderr, if that can be written."""
    with suppress(OSError):
        print(printable(message), file=sys.stderr, flush=True)


def note(sentence: str) -> None:
    """Print on stderr what a user should know although nothing failed."""
    _say(f"note: {sentence}")


def print_json(content: Mapping[str, object], indent: int | None = None) -> None:
    """Print one JSON object on stdout."""
    import json  # not loaded where no JSON is asked for

    print(utf8_json(json.dumps(content, ensure_ascii=False, indent=indent)))
