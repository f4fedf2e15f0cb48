"""A connection with a clock: whoever sends or reads too slowly is cut off.

The application bounds a request whose head has come (`bounds.py`). Before that, and where a client
does not take its answer, only the connection knows of it.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from lprnet.service.limits import Limits

GRACE = 2.0
"""Seconds more than a request has, so that its refusal arrives before the connection ends."""
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """HTTP/1.1 within `limits`, for `uvicorn.Config`'s `http`."""

    class Bounded(H11Protocol):
        """From its first byte a request has a bounded time; idle connections are uvicorn's."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._clock: asyncio.TimerHandle | None = None
            self._refused = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self._refused = len(self.connections) >= limits.connections
            if self._refused:
                transport.write(FULL)
                transport.close()
                return
            super().connection_made(transport)
            self._start()

        def data_received(self, data: bytes) -> None:
            if not self._refused:
                self._start()
                super().data_received(data)

        def on_response_complete(self) -> None:
            self._stop()
            super().on_response_complete()
            if not self.cycle.response_complete:  # the next request had come already
                self._start()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            if not self._refused:
                super().connection_lost(exc)

        def _start(self) -> None:
            if self._clock is None:
                self._clock = self.loop.call_later(limits.seconds + GRACE, self.transport.abort)

        def _stop(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

    return Bounded
