"""Where another process of the service is at fewer requests, a connection ends with its answer."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from lprnet.runtime.recognizer import Recognizer
from lprnet.service.balance import Balance, create
from lprnet.service.bounds import Bounds
from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from tests.service.served import SECONDS, form, picture, served


@pytest.mark.parametrize(
    ("own", "others", "crowded"),
    [(1, (0,), False), (2, (0,), True), (2, (1,), False), (3, (2, 1), True), (3, (2, 2), False)],
)
def test_one_is_crowded_where_another_is_at_fewer_than_it_keeps(
    own: int, others: tuple[int, ...], crowded: bool, tmp_path: Path
) -> None:
    create(tmp_path, 1 + len(others))
    every = [Balance(tmp_path, number) for number in range(1 + len(others))]
    for one, count in zip(every, (own, *others), strict=True):
        for _ in range(count):
            one.begin()
    assert every[0].end() is crowded


def test_one_alone_is_never_crowded(tmp_path: Path) -> None:
    create(tmp_path, 1)
    alone = Balance(tmp_path, 0)
    for _ in range(9):
        alone.begin()
    assert not alone.end()


def test_one_that_takes_the_place_of_another_begins_at_no_request(tmp_path: Path) -> None:
    create(tmp_path, 2)
    dead, other = Balance(tmp_path, 0), Balance(tmp_path, 1)
    for one in (dead, dead, dead, other, other, other):
        one.begin()
    assert not other.end()
    Balance(tmp_path, 0)
    assert other.end()


def test_an_answer_ends_the_connection_of_a_crowded_process(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    """Of two requests at once the first answered goes with its connection, the last one stays."""
    create(tmp_path, 2)
    together = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await together.wait()
        await PlainTextResponse("read")(scope, receive, send)

    balance = Balance(tmp_path, 0)
    bounds = Bounds(app, Limits(), Metrics(recognizer.manifest), balance=balance)

    async def ask() -> bytes | None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await bounds({"type": "http", "path": "/v1/read", "headers": []}, receive, send)
        return dict(sent[0]["headers"]).get(b"connection")

    async def both() -> list[bytes | None]:
        asked = [asyncio.ensure_future(ask()) for _ in range(2)]
        while len([task for task in asyncio.all_tasks() if not task.done()]) < 3:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        together.set()
        return await asyncio.wait_for(asyncio.gather(*asked), SECONDS)

    assert asyncio.run(both()) == [b"close", None]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")
def test_clients_that_keep_their_connections_lose_no_request(letter: Path, tmp_path: Path) -> None:
    with served(letter, tmp_path / "log", "--processes", "2") as server:

        def ask(_: int) -> list[int]:
            with httpx.Client(timeout=SECONDS) as client:
                url = f"{server.url}/v1/read"
                return [client.post(url, files=form(picture())).status_code for _ in range(12)]

        with ThreadPoolExecutor(5) as pool:
            assert sum(pool.map(ask, range(5)), []) == [200] * 60
