"""What is too large, too slow, too much or not allowed is refused, and the rest goes on."""

import asyncio
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from lprnet.runtime.recognizer import Recognizer
from lprnet.service.app import application
from lprnet.service.bounds import Bounds
from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from tests.service.served import form, picture

TOKEN = "a-token-of-visible-characters"


@pytest.fixture(scope="module")
def guarded(recognizer: Recognizer) -> Iterator[httpx.Client]:
    with TestClient(application(recognizer, Limits(), token=TOKEN.encode())) as client:
        yield client


@pytest.mark.parametrize(
    "given",
    [None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xff"],
)
def test_without_the_token_nothing_is_answered_but_probes_and_the_page(
    guarded: httpx.Client, given: str | None
) -> None:
    headers = httpx.Headers()
    if given is not None:
        headers = httpx.Headers([(b"Authorization", given.encode("latin-1"))])
    for path in ("/v2", "/v2/models/lprnet", "/metrics", "/openapi.json", "/other"):
        answer = guarded.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/v1/read", "/v2/models/lprnet/infer"):
        assert guarded.post(path, headers=headers, files=form(picture())).status_code == 401
    for path in ("/", "/page.js", "/v2/health/live", "/v2/health/ready"):
        assert guarded.get(path, headers=headers).status_code == 200


def test_with_the_token_everything_is(guarded: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = guarded.post("/v1/read", headers=headers, files=form(picture()))
    assert answer.json()["images"][0]["text"] == "A"
    assert TOKEN not in guarded.get("/metrics", headers=headers).text


class Asked:
    """`Bounds` around an application that answers `body read` once it has the body, as a client in
    the same event loop sees it.
    """

    def __init__(self, recognizer: Recognizer, limits: Limits) -> None:
        self.calls = 0
        self.metrics = Metrics(recognizer.manifest)
        self.bounds = Bounds(self.application, limits, self.metrics)

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        if scope["path"] == "/never":
            await asyncio.Event().wait()
        message = await receive()
        text = f"{len(message['body'])} bytes"
        await PlainTextResponse(text)(scope, receive, send)

    async def request(
        self, chunks: list[bytes], path: str = "/", stated: int | None = None, ends: bool = True
    ) -> tuple[int, bytes]:
        """Status and body of the answer; a client that does not end its body waits."""
        headers = [] if stated is None else [(b"content-length", str(stated).encode())]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        left = [
            {"type": "http.request", "body": chunk, "more_body": not ends or index > 0}
            for index, chunk in enumerate(reversed(chunks))
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            if not left:
                await asyncio.Event().wait()
            return left.pop()

        async def send(message: Message) -> None:
            sent.append(message)

        await asyncio.wait_for(self.bounds(scope, receive, send), 60)
        return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def test_a_body_above_its_limit_is_refused_whether_its_size_is_stated_or_not(
    recognizer: Recognizer,
) -> None:
    asked = Asked(recognizer, Limits(body_bytes=100))
    assert asyncio.run(asked.request([b"x" * 60, b"x" * 40])) == (200, b"100 bytes")
    assert asyncio.run(asked.request([b"x" * 60, b"x" * 41]))[0] == 413
    assert asyncio.run(asked.request([b"x"] * 10, stated=101))[0] == 413
    assert asyncio.run(asked.request([b"x" * 100], stated=10**40))[0] == 413
    assert asked.calls == 1


def test_a_body_that_does_not_come_and_an_answer_that_does_not(recognizer: Recognizer) -> None:
    asked = Asked(recognizer, Limits(seconds=1))
    assert asyncio.run(asked.request([b"x"], ends=False))[0] == 408
    assert asyncio.run(asked.request([b"x"], path="/never"))[0] == 503


def test_all_bodies_together_are_bounded_and_given_back(recognizer: Recognizer) -> None:
    asked = Asked(recognizer, Limits(body_bytes=100, seconds=3))

    async def many() -> list[int]:
        slow = [asked.request([b"x" * 100], ends=False) for _ in range(16)]
        tasks = [asyncio.ensure_future(one) for one in slow]
        await asyncio.sleep(0)
        refused = await asked.request([b"x"])
        statuses = [status for status, _ in await asyncio.gather(*tasks)]
        return [refused[0], *statuses, (await asked.request([b"x"]))[0]]

    assert asyncio.run(many()) == [503, *[408] * 16, 200]
    assert b"lprnet_held_bytes 0.0" in asked.metrics.text()


MANY = 100_000
KEYS = b",".join(b'"%d": null' % number for number in range(MANY))
INPUTS = b'"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["AAAA"]}]'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/read", b'{"images": [' + b"1," * MANY + b"1]}"),
        ("/v1/read", b'{"images": [' + b"[]," * MANY + b"1]}"),
        ("/v1/read", b"{" + KEYS + b"}"),
        ("/v1/read", b'{"' + b"n" * MANY + b'": 1}'),
        ("/v2/models/lprnet/infer", b'{"inputs": [' + b"1," * MANY + b"1]}"),
        ("/v2/models/lprnet/infer", b'{"outputs": [' + b"1," * MANY + b"1]," + INPUTS + b"}"),
        ("/v2/models/lprnet/infer", b'{"parameters": {' + KEYS + b"}," + INPUTS + b"}"),
        ("/v2/models/lprnet/infer", b'{"inputs": [{"name": "a", "parameters": {' + KEYS + b"}}]}"),
        ("/v2/models/lprnet/infer", b'{"inputs": [{"shape": [' + b'"",' * MANY + b"1]}]}"),
        (
            "/v2/models/lprnet/infer",
            b'{"parameters": {"' + b"n" * MANY + b'": []},' + INPUTS + b"}",
        ),
    ],
    ids=range(10),
)
def test_many_mistakes_in_one_request_are_one_error(
    client: httpx.Client, path: str, body: bytes
) -> None:
    """Pydantic makes an object of each: 2 MB of them took 900 MB and two seconds."""
    headers = {"Content-Type": "application/json"}
    client.post(path, content=body[:100], headers=headers)  # what the first request imports
    tracemalloc.start()
    try:
        answer = client.post(path, content=body, headers=headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.status_code, len(answer.text) < 500) == (400, True)
    assert peak < 20 * len(body) + 5_000_000


def test_metrics_count_requests_by_route_and_images_by_outcome(recognizer: Recognizer) -> None:
    with TestClient(application(recognizer, Limits())) as client:
        client.post("/v1/read", files=form(picture(), b"x", picture()))
        client.post("/v1/read")
        for number in range(20):
            client.get(f"/no/{number}")
            client.get(f"/v2/models/{number}")
        lines = client.get("/metrics").text.splitlines()
    for line in (
        'lprnet_images_total{outcome="read"} 2.0',
        'lprnet_images_total{outcome="error"} 1.0',
        'lprnet_requests_total{path="/v1/read",status="200"} 1.0',
        'lprnet_requests_total{path="/v1/read",status="415"} 1.0',
        'lprnet_requests_total{path="other",status="404"} 20.0',
        'lprnet_requests_total{path="/v2/models/{name}",status="404"} 20.0',
        "lprnet_queue_images 0.0",
        "lprnet_batch_images_sum 3.0",
    ):
        assert line in lines, line
