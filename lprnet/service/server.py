"""Runs the service until a signal ends it, which lets it finish what it has accepted."""

import asyncio
import contextlib
import math
import resource
import signal
import socket
import sys
from collections.abc import Callable, Collection, Iterator

import uvicorn

from lprnet.service.bounds import Bounds
from lprnet.service.limits import Limits
from lprnet.service.protocol import GRACE, bounded_protocol
from lprnet.support.errors import UserError

KEEP_ALIVE = 5
"""Seconds that a connection may be idle between two requests."""
HEAD_BYTES = 16 << 10
BACKLOG = 256
"""Connections that the system holds until they are accepted."""


class _Server(uvicorn.Server):
    """Ends well at SIGINT and SIGTERM; uvicorn's own raises them again afterwards."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], signals: Collection[int]
    ) -> None:
        """`ready` is called when connections are accepted; `signals` end it."""
        super().__init__(config)
        self._ready, self._signals = ready, signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections. Raises `UserError` where that is not possible."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen on {host}, port {port} ({reason}); choose another --host or --port"
        ) from error
    # Connections inherit it. asyncio sets it on sockets that name their protocol alone, and without
    # it an answer in two packets waits 40 ms for the client to acknowledge the first (Nagle).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def say_where(listener: socket.socket) -> None:
    """Print the address."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"listening: http://{shown}:{port}", file=sys.stderr, flush=True)


def run(
    app: Bounds, listener: socket.socket, ready: Callable[[], None], *, several: bool = False
) -> None:
    """Answer until SIGINT or SIGTERM comes, then finish what was accepted. `ready` is called at the
    beginning; `several` says that other processes answer on the same `listener`.
    """
    limits = app.limits
    config = uvicorn.Config(
        app,
        http=bounded_protocol(limits),
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(limits.seconds + GRACE),
        h11_max_incomplete_event_size=HEAD_BYTES,
        # asyncio accepts as many connections at a time, and closes those that are too many later:
        # a crowd of them would take all file descriptors. Of several processes the first would have
        # all connections. `_Server.startup` gives the system's queue its length.
        backlog=1,
    )
    # The parent of several passes Ctrl-C on. A process that had both signals would end at once.
    signals = (signal.SIGTERM,) if several else (signal.SIGINT, signal.SIGTERM)
    asyncio.run(_Server(config, ready, signals).serve([listener]))


def connections_allowed(limits: Limits) -> int:
    """As many as `limits` says, or as the system's limit of open files leaves room for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(limits.connections, files - 64)) if files >= 0 else limits.connections
