"""Requests that nobody means well: no answer is 500, and the service goes on."""

import json
import socket
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runtime.tiny_artifact import IMAGE
from tests.service.served import SECONDS, Served, form, picture

schemathesis = pytest.importorskip("schemathesis")
EXAMPLES = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_the_service_is_as_it_describes_itself(server: Served) -> None:
    """Statuses, content types and bodies are those of `/openapi.json`, and never a 500."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", wait_for_schema=SECONDS)
    checks = schemathesis.checks.CHECKS
    not_ours = [
        # A body that is no image is that image's error, not the request's.
        checks.get_one("negative_data_rejection"),
        # Any number of images is described, a bounded one is taken.
        checks.get_one("positive_data_acceptance"),
    ]
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 10
    for operation in operations:

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def conforms(case: Any) -> None:
            case.call_and_validate(excluded_checks=not_ours, timeout=SECONDS)

        conforms()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
WORDS = st.sampled_from(
    ["images", "pixels", "BYTES", "UINT8", "text", "binary_data_size", "binary_data", "AAAA"]
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 5, 24, 30, 10**9, 2**63, 10**30])
TENSORS = st.fixed_dictionaries(
    {
        "name": WORDS | JSON,
        "datatype": WORDS | JSON,
        "shape": st.lists(NUMBERS, max_size=5) | st.just([1, *IMAGE.shape]) | JSON,
    },
    optional={
        "data": st.lists(WORDS | NUMBERS, max_size=40) | JSON,
        "parameters": st.dictionaries(WORDS, NUMBERS | JSON) | JSON,
    },
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, min_size=1, max_size=2) | JSON},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": WORDS | JSON})) | JSON,
        "parameters": st.dictionaries(WORDS, JSON) | JSON,
        "id": JSON,
    },
)


@EXAMPLES
@given(
    content=REQUESTS,
    binary=st.binary(max_size=60),
    stated=st.none() | st.integers(-2, 10),
    model=st.sampled_from(["lprnet", "lprnet-pixels"]),
)
def test_tensors_of_all_kinds(
    client: httpx.Client, content: object, binary: bytes, stated: int | None, model: str
) -> None:
    """`stated` is how much the header is beside the JSON's length; None: it is missing."""
    head = json.dumps(content).encode()
    headers = {}
    if stated is not None:
        headers["Inference-Header-Content-Length"] = str(len(head) + stated)
    url = f"/v2/models/{model}/infer"
    answer = client.post(url, content=head + binary, headers=headers)
    assert answer.status_code in {200, 400}, answer.text


@EXAMPLES
@given(content=JSON, cut=st.integers(0, 100))
def test_json_of_all_kinds(client: httpx.Client, content: object, cut: int) -> None:
    for body in (json.dumps(content), json.dumps({"images": content}), json.dumps(content)[:-cut]):
        answer = client.post("/v1/read", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {200, 400}, answer.text


@EXAMPLES
@given(place=st.integers(0, 500), junk=st.binary(max_size=20), length=st.integers(0, 20))
def test_damaged_forms(client: httpx.Client, place: int, junk: bytes, length: int) -> None:
    request = client.build_request("POST", "/v1/read", files=form(picture(), b"x"))
    body = request.read()
    damaged = body[:place] + junk + body[place + length :]
    answer = client.post(
        "/v1/read", content=damaged, headers={"Content-Type": request.headers["Content-Type"]}
    )
    assert answer.status_code in {200, 400}, answer.text


@settings(EXAMPLES, max_examples=30)
@given(
    head=st.lists(
        st.sampled_from(
            [
                b"GET / HTTP/1.1\r\n", b"POST /v1/read HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n",
                b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"hello", b"GET ",
                b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"f" * 20_000,
                b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Expect: 100-continue\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Content-Type: application/json\r\n",
            ]
        )
        | st.binary(max_size=30),
        max_size=8,
    )
)  # fmt: skip
def test_bytes_that_are_hardly_http(server: Served, head: list[bytes]) -> None:
    with socket.create_connection(server.address, SECONDS) as connection:
        try:
            connection.sendall(b"".join(head))
            connection.settimeout(0.1)  # where the service waits for more, there is no answer
            assert b" 500 " not in connection.recv(1 << 16)
        except OSError:
            pass
    ready = httpx.get(f"{server.url}/v2/health/ready", timeout=SECONDS)
    assert ready.json() == {"ready": True}
    assert "Traceback" not in server.log.read_text()
