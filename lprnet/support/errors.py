"""The one exception a user is meant to read."""


class UserError(Exception):
    """An error of the user; its message is one sentence that names the file and the remedy.

    Every script prints the message alone on stderr and exits with code 2 (`lprnet/support/cli.py`).
    """
