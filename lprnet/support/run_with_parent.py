"""Becomes a command that the kernel kills when the process that started it is gone.

    python -I -S run_with_parent.py PARENT COMMAND [ARGUMENT ...]

PARENT is the number of that process. Only a process itself can ask the kernel for this, and keeps
it when it becomes a command. To ask between a fork and the command, as `preexec_fn` can, is not
safe in a process with threads. Needs the standard library alone; the exit code is 127 where the
command cannot be started.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before it could be asked for
        sys.exit(127)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and commands inherit it
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)
