"""A client that costs little: prepared requests over connections that stay open."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from tests.service.served import form


@dataclass(frozen=True)
class Request:
    """The bytes of a request, and the texts that its answer must have."""

    content: bytes
    texts: tuple[str | None, ...]
    """None for an image that is refused."""


@dataclass
class Result:
    """What a phase saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    """-1 is a connection that failed, -2 a request that found all connections busy."""
    seconds: list[float] = field(default_factory=list)
    """Of the requests that were read, from the moment when they were due."""
    wrong: int = 0
    """Answers with other texts."""
    plates: int = 0

    def summary(self, wall: float) -> dict[str, object]:
        """For people; times in milliseconds."""
        ordered = sorted(self.seconds) or [0.0]
        at = {p: round(1000 * ordered[int(p / 100 * (len(ordered) - 1))], 1) for p in (50, 99)}
        return {
            "plates_per_second": round(self.plates / wall),
            "p50_ms": at[50],
            "p99_ms": at[99],
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "wrong_answers": self.wrong,
        }


def request(images: Sequence[bytes], texts: Sequence[str | None], host: str) -> Request:
    """`POST /v1/read` with these images as a form."""
    built = httpx.Request("POST", f"http://{host}/v1/read", files=form(*images))
    body = built.read()
    lines = [f"{name}: {value}" for name, value in built.headers.items()]
    head = "\r\n".join(["POST /v1/read HTTP/1.1", *lines]).encode("latin-1")
    return Request(head + b"\r\n\r\n" + body, tuple(texts))


class Connection:
    """One connection, opened again where it was closed."""

    def __init__(self, address: tuple[str, int], result: Result) -> None:
        self._address, self._result = address, result
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Request, due: float) -> None:
        """Send, receive, and count what came; `due` by `time.perf_counter`."""
        status, body = -1, b""
        while status < 0:
            idle = self._writer is not None  # which the service may be closing at this moment
            try:
                status, body = await asyncio.wait_for(self._exchange(request), 60)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                self.close()
                if not idle:
                    break
        self._result.statuses[status] += 1
        if status == 200:
            self._result.seconds.append(time.perf_counter() - due)
            self._result.plates += len(request.texts)
            read = tuple(image["text"] for image in json.loads(body)["images"])
            self._result.wrong += read != request.texts

    async def _exchange(self, request: Request) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
        self._writer.write(request.content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def closed_loop(
    address: tuple[str, int], requests: Sequence[Request], connections: int, seconds: float
) -> Result:
    """Each connection asks again as soon as it has its answer."""
    result, end = Result(), time.perf_counter() + seconds

    async def ask(first: int) -> None:
        connection, number = Connection(address, result), first
        while time.perf_counter() < end:
            await connection.ask(requests[number % len(requests)], time.perf_counter())
            number += connections
        connection.close()

    await asyncio.gather(*map(ask, range(connections)))
    return result


async def open_loop(
    address: tuple[str, int],
    requests: Sequence[Request],
    per_second: float,
    seconds: float,
    most: int = 128,
) -> Result:
    """Requests come at a rate, whether those before are answered or not, on `most` connections."""
    result, began = Result(), time.perf_counter()
    free = [Connection(address, result) for _ in range(most)]
    asking: set[asyncio.Task[None]] = set()

    async def ask(connection: Connection, request: Request, due: float) -> None:
        await connection.ask(request, due)
        free.append(connection)

    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if not free:
            result.statuses[-2] += 1
            continue
        task = asyncio.ensure_future(ask(free.pop(), requests[number % len(requests)], due))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    for connection in free:
        connection.close()
    return result
