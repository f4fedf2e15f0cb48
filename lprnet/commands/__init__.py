"""The installed command `lprnet`, a file a verb; `scripts/*.py` are callers of the same verbs.

A verb's module has `add_arguments(parser)` and `run(options)`; its docstring is its help. Both
`--help` and Ctrl-C answer at once, so a verb imports what it works with inside `run`.
"""

try:
    import sys
    from typing import NoReturn

    from lprnet.support import cli
except KeyboardInterrupt:  # Ctrl-C before `cli.run` handles it
    raise SystemExit(130) from None


def main(verb: str | None = None) -> NoReturn:
    """Do what the command line says and exit, as `lprnet.support.cli.run` does.

    The first argument names the verb unless `verb` does.
    """

    def execute() -> int | None:
        from lprnet.commands.dispatch import execute

        return execute(sys.argv[1:], verb)

    cli.run(execute)
