"""Several processes that share one listening socket, each pinned to a core of its own.

The parent answers nothing: it starts them, puts another in the place of one that dies, and passes
on the signal to end. The connections that a process has accepted stay with it (`balance.py`).
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING

from lprnet.service.balance import Balance, create
from lprnet.support.child_process import (
    end_with_parent,
    how_it_ended,
    starting_process,
    take_sigterm,
)
from lprnet.support.errors import UserError
from lprnet.support.scratch_folder import scratch_folder

if TYPE_CHECKING:  # they bring NumPy and OpenCV, which count cores; a child is pinned first
    from lprnet.service.limits import Limits
    from lprnet.service.settings import Settings

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which processes share prometheus-client's counters."""


@dataclass
class _Child:
    process: SpawnProcess
    number: int
    core: int
    said: Connection
    ready: bool = False


def serve_processes(
    settings: "Settings", limits: "Limits", listener: socket.socket, cores: list[int]
) -> None:
    """Answer on `listener` by one process for each of `cores`, until SIGINT or SIGTERM comes; what
    was accepted is finished.

    Raises `UserError` if a process ends before it can answer. No process outlives this.
    """
    children: list[_Child] = []
    with scratch_folder() as folder, _signals() as asked:
        os.environ[METRICS_FOLDER] = str(folder)
        create(folder, len(cores))
        try:
            for number, core in enumerate(cores):
                children.append(_start(number, core, settings, limits, listener))
            _watch(children, asked, settings, limits, listener)
        finally:
            for child in children:
                child.process.kill()
                child.process.join()
            del os.environ[METRICS_FOLDER]


def _watch(
    children: list[_Child],
    asked: socket.socket,
    settings: "Settings",
    limits: "Limits",
    listener: socket.socket,
) -> None:
    """Return when all have ended because that was `asked` for."""
    from prometheus_client.multiprocess import mark_process_dead

    from lprnet.service.server import say_where

    ending = said = False
    while children:
        wait([asked, *(child.process.sentinel for child in children), *_starting(children)])
        if _was_asked(asked):
            ending = True
            for child in children:
                child.process.terminate()
        for child in children.copy():
            if not child.ready and child.said.poll():
                _hear(child)
            if child.process.is_alive():
                continue
            child.process.join()
            children.remove(child)
            mark_process_dead(child.process.pid)  # type: ignore[no-untyped-call]
            if ending:
                continue
            how = how_it_ended(child.process.exitcode or 0)
            if not child.ready:
                raise UserError(f"a process of the service did not start ({how})")
            print(
                f"a process of the service has ended ({how}); another takes its place",
                file=sys.stderr,
                flush=True,
            )
            children.append(_start(child.number, child.core, settings, limits, listener))
        if not said and not ending and not _starting(children):
            say_where(listener)
            said = True


def _starting(children: list[_Child]) -> list[Connection]:
    return [child.said for child in children if not child.ready]


def _hear(child: _Child) -> None:
    """Take a message of a child that is starting. Raises `UserError` if that is an error."""
    try:
        error = child.said.recv()
    except (EOFError, OSError):
        child.process.join()
        return
    if error is not None:
        raise UserError(error)
    child.ready = True


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which a byte comes for each SIGINT and SIGTERM."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        before = {
            number: signal.signal(number, lambda *_: writer.sendall(b"."))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield reader
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _was_asked(asked: socket.socket) -> bool:
    try:
        return bool(asked.recv(64))
    except BlockingIOError:
        return False


def _start(
    number: int, core: int, settings: "Settings", limits: "Limits", listener: socket.socket
) -> _Child:
    # Not forked: NumPy and OpenCV have counted the cores of the parent.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, number, core, os.getpid(), listener))
    # Ctrl-C goes to every process of a terminal; the parent passes it on as SIGTERM. A child blocks
    # both until its first lines, and ignores Ctrl-C from there on.
    with starting_process():
        process.start()
    theirs.close()
    with suppress(OSError):  # it has ended; `_watch` says so
        ours.send((settings, limits))
    return _Child(process, number, core, ours)


def _work(
    connection: Connection, number: int, core: int, parent: int, listener: socket.socket
) -> None:
    """A child: it is pinned before anything counts cores, then answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_sigterm()
    if not end_with_parent(signal.SIGTERM, parent):
        return
    os.sched_setaffinity(0, {core})
    settings, limits = connection.recv()

    from lprnet.service.server import run
    from lprnet.service.start import application_of

    try:
        app = application_of(settings, limits, Balance(Path(os.environ[METRICS_FOLDER]), number))
    except UserError as error:
        connection.send(str(error))
        return
    run(app, listener, lambda: connection.send(None), several=True)
