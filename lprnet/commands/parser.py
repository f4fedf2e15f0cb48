"""A command line that is alike for all verbs: short errors, defaults in the help, `--version`."""

import argparse
from typing import NoReturn

import lprnet
from lprnet.support.errors import UserError


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Adds the default of an option to its help, unless that states it or it is a switch."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if text and action.option_strings and action.nargs != 0 and "default" not in text:
            if action.required:
                return f"{text} (required)"
            if action.default is not None and action.default is not argparse.SUPPRESS:
                return f"{text} (default: %(default)s)"
        return text


class Parser(argparse.ArgumentParser):
    """Wrong arguments are a `UserError`: one sentence, as every other mistake."""

    def __init__(self, program: str, description: str | None, epilog: str | None = None) -> None:
        """`program` is what the user typed."""
        super().__init__(program, description=description, epilog=epilog)
        self.formatter_class = _HelpFormatter
        self.add_argument("--version", action="version", version=f"lprnet {lprnet.__version__}")

    def error(self, message: str) -> NoReturn:
        """Raises `UserError`."""
        raise UserError(f"{message}; {self.prog} --help lists what it takes")
