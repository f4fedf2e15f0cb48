"""The one exception a user is meant to read, and how another becomes part of its sentence."""


class UserError(Exception):
    """An error of the user; its message is one sentence that names the file and the remedy.

    Every script prints the message alone on stderr and exits with code 2 (`lprnet/support/cli.py`).
    """


def one_line(error: BaseException) -> str:
    """The message of `error` with all white space made single blanks."""
    return " ".join(str(error).split())
