"""The C compiler of this machine, which assembles and links."""

import errno
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lprnet.support.child_command import run_command
from lprnet.support.errors import UserError
from lprnet.support.scratch_folder import scratch_folder

INSTALL = "install gcc or clang, or name one in CC"


def c_compiler() -> list[str]:
    """The command that `CC` names, with its flags, or else gcc or clang.

    Raises `UserError` if there is none.
    """
    named = os.environ.get("CC", "")
    try:
        command = shlex.split(named)
    except ValueError as error:
        raise UserError(f"CC is {named!r}, which is no command ({error}); {INSTALL}.") from error
    if command:
        return command
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise UserError(f"No C compiler found; {INSTALL}.")
    return [compiler]


def check_compiler() -> None:
    """Compile and link a shared object of nothing, before work whose result would be lost without a
    compiler. Raises as `run_compiler`.
    """
    with scratch_folder() as folder:
        (folder / "nothing.c").write_text("int nothing;\n")
        run_compiler(["-shared", "-fPIC", "-o", "nothing.so", "nothing.c"], folder)


def run_compiler(arguments: Sequence[str | Path], folder: Path) -> None:
    """Run the C compiler in `folder`, so that names in `arguments` can be relative to it: a path of
    the user's may hold what the compiler or the assembler reads as syntax.

    Raises `UserError`, with the first error that it prints, if it cannot be started or fails.
    """
    command = c_compiler()
    shown = shlex.join(command)
    try:
        run_command(
            [*command, *arguments],
            folder=folder,
            environment={**os.environ, "LC_ALL": "C"},  # its errors are searched for English words
        )
    except OSError as error:
        raise UserError(
            f"The C compiler {shown} cannot be started ({error.strerror}); {INSTALL}."
        ) from error
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line.lower()), " ".join(lines[-1:]))
        full = any(os.strerror(one) in reason for one in (errno.ENOSPC, errno.EDQUOT))
        room = f"make room in {tempfile.gettempdir()}, or name another folder in TMPDIR"
        raise UserError(
            f"The C compiler {shown} fails with exit code {error.returncode} "
            f"({reason or 'no message'}); {room if full else INSTALL}."
        ) from error
