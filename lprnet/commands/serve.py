"""Read plates as a service over HTTP, with a page to try it, until SIGTERM or Ctrl-C ends it."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from lprnet.commands.arguments import input_file, integer
from lprnet.commands.reading_arguments import add_reading

if TYPE_CHECKING:
    from lprnet.service.limits import Limits

MEBIBYTE = 1 << 20


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_reading(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 is every IPv4 one"
    )
    parser.add_argument(
        "--port", type=integer(0, 65535), default=8000, metavar="N", help="0 is any free one"
    )
    parser.add_argument(
        "--token-file",
        type=input_file,
        metavar="FILE",
        help="its one line is the token that requests must bring (default: none is needed)",
    )
    parser.add_argument(
        "--processes",
        type=integer(1),
        default=1,
        metavar="N",
        help="processes that answer, each pinned to a core (default: one on all cores)",
    )
    bounds = parser.add_argument_group("bounds")
    for name, least, most, default, text in (
        ("images", 1, 1024, 64, "images in a request"),
        ("body", 1, 1024, 16, "MiB of a request"),
        ("queue", 1, 100_000, 512, "images that wait; a request that finds so many gets 503"),
        ("wait", 0, 1000, 0, "milliseconds that an image waits for others if a thread is free"),
        ("seconds", 1, 3600, 10, "seconds that a request may take"),
    ):
        bounds.add_argument(
            f"--max-{name}", type=integer(least, most), default=default, metavar="N", help=text
        )


def run(options: Namespace) -> None:
    """Serve."""
    import fastapi  # noqa: F401  the first of the extra's packages that would be missing

    from lprnet.runtime.batch_reader import default_artifact
    from lprnet.service.settings import Settings
    from lprnet.service.start import serve

    settings = Settings(
        options.artifact or default_artifact(),
        options.host,
        options.port,
        options.token_file,
        options.min_confidence or 0.0,
        options.grammar,
        options.rows,
        options.processes,
    )
    serve(settings, limits(options))


def limits(options: Namespace) -> "Limits":
    """What the flags say of the bounds."""
    from lprnet.service.limits import Limits

    return Limits(
        images=options.max_images,
        body_bytes=options.max_body * MEBIBYTE,
        queue=options.max_queue,
        wait=options.max_wait / 1000,
        seconds=float(options.max_seconds),
        max_pixels=options.max_pixels,
    )
