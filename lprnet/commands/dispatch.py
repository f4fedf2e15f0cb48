"""From a command line to the verb that it names."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

from lprnet.commands.parser import Parser
from lprnet.support.errors import UserError

VERBS = (
    "build",
    "recognize",
    "bulk",
    "serve",
    "evaluate",
    "bench",
    "calibrate",
    "tune",
    "compare",
    "report",
    "train",
    "sweep",
    "predict",
    "inspect",
)
EXTRAS = {
    "fastapi": "serve",
    "prometheus_client": "serve",
    "pyarrow": "bulk",
    "ray": "ray",
    "uvicorn": "serve",
}
"""Which extra of `pyproject.toml` brings a package; all others are the compiler's."""
TORCH_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
"""The variable in which torch names its folder of compiled code, once it has made it."""
OURS = ("lprnet", "relay_passes", "schedules")


def execute(arguments: Sequence[str], verb: str | None = None) -> int | None:
    """Do what `arguments` say; the first is the verb unless `verb` is given. Returns an exit code.

    Raises `UserError` for every user error.
    """
    if verb is None:
        if not arguments or arguments[0] not in VERBS:
            _top_level().parse_args(arguments)
        name, *arguments = arguments
        program = f"lprnet {name}"
    else:
        name, program = verb, Path(sys.argv[0]).name
    module = _module(name)
    options = verb_parser(name, program).parse_args(arguments)
    try:
        with _no_torch_folder():
            status: int | None = module.run(options)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OURS:
            raise
        extra = EXTRAS.get(error.name.partition(".")[0], "compiler")
        raise UserError(
            f"{program} needs {error.name}, which is not installed; "
            f"pip install 'lprnet-tvm[{extra}]' brings it"
        ) from error
    return status


@contextmanager
def _no_torch_folder() -> Iterator[None]:
    """Remove torch's folder among the temporary files if it is empty: torch makes it for whoever
    exports a model or makes an optimizer, and only `torch.compile` writes into it.
    """
    named = TORCH_FOLDER in os.environ
    try:
        yield
    finally:
        if not named and TORCH_FOLDER in os.environ:
            with suppress(OSError):  # it is not empty, or gone
                os.rmdir(os.environ.pop(TORCH_FOLDER))


def verb_parser(name: str, program: str) -> Parser:
    """The command line of the verb `name`, called as `program`."""
    module = _module(name)
    parser = Parser(program, description=module.__doc__)
    module.add_arguments(parser)
    return parser


def _module(name: str) -> ModuleType:
    return import_module(f"lprnet.commands.{name}")


def _top_level() -> Parser:
    """The command line of `lprnet` itself: help, the version, or the name of no verb."""
    lines = [f"  {name:10} {(_module(name).__doc__ or '').splitlines()[0]}" for name in VERBS]
    parser = Parser(
        "lprnet",
        description="Compile LPRNet for x86 CPUs and read plates with it.",
        epilog="\n".join(("verbs:", *lines)),
    )
    parser.usage = "lprnet [-h] [--version] VERB ..."
    parser.add_argument(
        "verb", choices=VERBS, metavar="VERB", help="what to do; see lprnet VERB --help"
    )
    return parser
