"""Clients of a service: some ask well, others are slow, go away or crowd it."""

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from contextlib import suppress

from tests.load.client import Connection, Request, Result, request
from tests.soak.pictures import Picture, draw

LARGEST = 24
"""Images in a request."""
REQUESTS = 200
"""That are prepared."""
TOO_SLOW = 0.4
"""Seconds between two of the 16 pieces of a slow client, at most: the service gives it 3."""


class Clients:
    """All clients of the service at `address`, until `seconds` have passed."""

    def __init__(
        self, address: tuple[str, int], good: list[Picture], bad: list[Picture], seconds: float
    ) -> None:
        self.address, self.end = address, time.monotonic() + seconds
        self.result, self.faults = Result(), Counter[str]()
        rng, host = random.Random(0), "{}:{}".format(*address)
        drawn = [draw(rng, good, bad, LARGEST) for _ in range(REQUESTS)]
        self.requests = [
            request([one.content for one in some], [one.text for one in some], host)
            for some in drawn
        ]

    def requests_of(self, seed: int) -> "RequestsOf":
        return RequestsOf(random.Random(seed), self)

    async def all(self) -> None:
        """Eight that ask as soon as they have their answer, and a few of every other sort."""
        kinds = [self.ask] * 8 + [self.slow] * 3 + [self.go_away] * 2 + [self.deaf] + [self.crowd]
        await asyncio.gather(*(kind(self.requests_of(seed)) for seed, kind in enumerate(kinds)))

    async def ask(self, requests: "RequestsOf") -> None:
        connection = Connection(self.address, self.result)
        for one in requests:
            refused = self.result.statuses[503] + self.result.statuses[-1]
            await connection.ask(one, time.perf_counter())
            if self.result.statuses[503] + self.result.statuses[-1] > refused:
                await asyncio.sleep(0.2)  # less than `Retry-After`
        connection.close()

    async def slow(self, requests: "RequestsOf") -> None:
        """Sends in pieces; some are sent within the time that a request has, some are not."""
        for one in requests:
            reader, writer = await self.open()
            if writer is None:
                continue
            pause, step = requests.rng.uniform(0, TOO_SLOW), len(one.content) // 16 + 1
            head = b""
            with suppress(OSError, asyncio.TimeoutError):
                for start in range(0, len(one.content), step):
                    writer.write(one.content[start : start + step])
                    await writer.drain()
                    await asyncio.sleep(pause)
                head = await asyncio.wait_for(reader.read(64), 60)
            status = head[9:12].decode() if head.startswith(b"HTTP/1.1 ") else "cut off"
            self.faults[f"slow: {status}"] += 1
            writer.close()

    async def go_away(self, requests: "RequestsOf") -> None:
        """Resets its connection in the middle of a request, or before it has the answer."""
        for one in requests:
            _, writer = await self.open()
            if writer is None:
                continue
            whole = requests.rng.random() < 0.5
            writer.write(one.content if whole else one.content[: len(one.content) // 2])
            await asyncio.sleep(requests.rng.choice([0, 0.01, 0.1]))
            _reset(writer)
            self.faults["went away"] += 1

    async def deaf(self, requests: "RequestsOf") -> None:
        """Asks again and again and reads no answer."""
        for one in requests:
            _, writer = await self.open()
            if writer is None:
                continue
            with suppress(OSError):
                for _ in range(20):
                    writer.write(one.content)
                    await asyncio.sleep(0.1)
            self.faults["read no answer"] += 1
            _reset(writer)

    async def crowd(self, requests: "RequestsOf") -> None:
        """Opens more connections than the service has files for, and keeps them for a second."""
        for _ in requests:
            opened = [await self.open() for _ in range(150)]
            await asyncio.sleep(1)
            for _, writer in opened:
                if writer is not None:
                    writer.close()
            self.faults["crowds"] += 1
            await asyncio.sleep(min(10.0, max(0.0, self.end - time.monotonic())))

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter | None]:
        try:
            return await asyncio.wait_for(asyncio.open_connection(*self.address), 60)
        except (OSError, asyncio.TimeoutError):
            self.faults["not connected"] += 1
            await asyncio.sleep(0.1)
            return asyncio.StreamReader(), None


class RequestsOf:
    """Random requests until the time is over."""

    def __init__(self, rng: random.Random, clients: Clients) -> None:
        self.rng, self.clients = rng, clients

    def __iter__(self) -> "RequestsOf":
        return self

    def __next__(self) -> Request:
        if time.monotonic() > self.clients.end:
            raise StopIteration
        return self.rng.choice(self.clients.requests)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell, as a process does that is killed."""
    linger = struct.pack("ii", 1, 0)
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
