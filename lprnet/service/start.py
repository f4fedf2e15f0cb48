"""From what the command line says to a running service."""

import os
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import numpy as np

from lprnet.runtime import late_import
from lprnet.runtime.artifact import read_artifact
from lprnet.runtime.recognizer import Recognizer
from lprnet.service.app import application
from lprnet.service.balance import Balance
from lprnet.service.bounds import Bounds
from lprnet.service.limits import Limits
from lprnet.service.processes import serve_processes
from lprnet.service.server import connections_allowed, listen, run, say_where
from lprnet.service.settings import Settings
from lprnet.support.cli import note
from lprnet.support.errors import UserError
from lprnet.support.file_names import printable

SHORTEST_TOKEN = 16
"""Characters."""


def serve(settings: Settings, limits: Limits) -> None:
    """Answer until SIGINT or SIGTERM comes.

    Raises `UserError` for an artifact that does not load, a token that is none, a grammar that the
    artifact lacks, an address that cannot be listened on, and more processes than cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    if settings.processes > len(cores):
        raise UserError(
            f"--processes {settings.processes}: only {len(cores)} cores may be used; give at most "
            "as many"
        )
    artifact = settings.artifact
    if isinstance(artifact, Path):
        # A process that takes another's place later reads with it too, whatever lies there then.
        artifact = read_artifact(artifact)
    settings = replace(settings, artifact=artifact)
    app = application_of(settings, limits)
    listener = listen(settings.host, settings.port)
    print(f"artifact: {printable(str(artifact.path))}", file=sys.stderr)
    if settings.token_file is None and not ip_address(listener.getsockname()[0]).is_loopback:
        note("whoever reaches this address can use the service; --token-file asks for a token")
    if settings.processes == 1:
        run(app, listener, lambda: say_where(listener))
    else:
        serve_processes(
            settings, limits.divided(settings.processes), listener, cores[: settings.processes]
        )


def application_of(settings: Settings, limits: Limits, balance: Balance | None = None) -> Bounds:
    """The service, ready to answer; `balance` is as in `Bounds`. Raises `UserError` as `serve`."""
    recognizer = Recognizer(settings.artifact)
    token = None if settings.token_file is None else read_token(settings.token_file)
    late_import.everything()
    # The first call of all takes longer than others: it touches all memory.
    pixels = np.zeros(recognizer.manifest.image.shape, np.uint8)
    recognizer.read(pixels, grammar=settings.grammar)
    return application(
        recognizer,
        replace(limits, connections=connections_allowed(limits)),
        token=token,
        min_confidence=settings.min_confidence,
        grammar=settings.grammar,
        rows=settings.rows,
        balance=balance,
    )


def read_token(path: Path) -> bytes:
    """The token in the file `path`. Raises `UserError` for one that is too short or not one line of
    visible ASCII.
    """
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if len(token) < SHORTEST_TOKEN or not all(33 <= byte <= 126 for byte in token):
        raise UserError(
            f"{path}: is no token; write one line of at least {SHORTEST_TOKEN} visible ASCII "
            "characters, as openssl rand -hex 32 does"
        )
    return token
