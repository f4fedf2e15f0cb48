"""The middleware around everything: who may ask, how much, and how long it may take.

A body is read whole, up to its limit, before anything looks at it.
"""

import asyncio
import hmac
from collections.abc import Collection
from time import monotonic

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lprnet.service.balance import Balance
from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from lprnet.service.refusal import Refusal, answer, overloaded

LINGER = 1.0
"""Seconds in which the rest of a body that is too large is read and dropped: a client that is cut
off while it sends does not see the answer."""


class Bounds:
    """Passes on to an application what is within the bounds, and answers the rest itself."""

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        token: bytes | None = None,
        open_paths: Collection[str] = (),
        balance: Balance | None = None,
    ) -> None:
        """Where `token` is given, all but `open_paths` ask for it. With a `balance` a connection is
        closed after an answer where another process is less busy: the client's next one goes there.
        """
        self.limits = limits
        self._app, self._metrics, self._token, self._open = app, metrics, token, open_paths
        self._balance = balance
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = monotonic(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if not status and self._balance is not None and self._balance.end():
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            status = message.get("status", status)
            await send(message)

        if self._balance is not None:
            self._balance.begin()
        try:
            await self._within(scope, receive, noted)
        except Refusal as refusal:
            await answer(refusal, scope["path"])(scope, receive, noted)
        except asyncio.TimeoutError:
            if not status:
                late = overloaded(f"it was not done within {self.limits.seconds:g} s")
                await answer(late, scope["path"])(scope, receive, noted)
        finally:
            if not status and self._balance is not None:
                self._balance.end()
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(monotonic() - began)

    async def _within(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise `Refusal` or `asyncio.TimeoutError`."""
        end = monotonic() + self.limits.seconds
        headers = Headers(scope=scope)
        if self._token is not None and scope["path"] not in self._open:
            self._check_token(headers)
        body: list[bytes] = []
        try:
            try:
                whole = await asyncio.wait_for(
                    self._read(headers, receive, body), self.limits.seconds
                )
            except asyncio.TimeoutError:
                raise Refusal(
                    408,
                    f"the body did not come within {self.limits.seconds:g} s",
                    {"Connection": "close"},
                ) from None
            if whole:
                body[:] = [b"".join(body)]
                messages = [{"type": "http.request", "body": body[0], "more_body": False}]

                async def replay() -> Message:
                    return messages.pop() if messages else await receive()

                await asyncio.wait_for(self._app(scope, replay, send), end - monotonic())
        finally:
            self._hold(-sum(map(len, body)))

    def _check_token(self, headers: Headers) -> None:
        given = headers.get("authorization", "").encode("latin-1")
        assert self._token is not None
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            raise Refusal(
                401, "give the token as Authorization: Bearer", {"WWW-Authenticate": "Bearer"}
            )

    async def _read(self, headers: Headers, receive: Receive, body: list[bytes]) -> bool:
        """Read the body into `body`; whether the client stayed. Raises `Refusal`."""
        stated = headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > self.limits.body_bytes:
            await self._linger(receive)
            raise self._too_large()
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return False
            chunk = message.get("body", b"")
            size += len(chunk)
            refusal = None
            if size > self.limits.body_bytes:
                refusal = self._too_large()
            elif self._held + len(chunk) > self.limits.held_bytes:
                refusal = overloaded("too many large requests are being read")
            more = message.get("more_body", False)
            if refusal is not None:
                if more:
                    await self._linger(receive)
                raise refusal
            body.append(chunk)
            self._hold(len(chunk))
            if not more:
                return True

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            f"the body has more than {self.limits.body_bytes:,} bytes; send fewer images at once",
            {"Connection": "close"},
        )

    async def _linger(self, receive: Receive) -> None:
        """Drop as much of the rest as a body may have."""

        async def drop() -> None:
            left = self.limits.body_bytes
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return

        try:
            await asyncio.wait_for(drop(), LINGER)
        except asyncio.TimeoutError:
            return

    def _hold(self, size: int) -> None:
        self._held += size
        self._metrics.held.set(self._held)
