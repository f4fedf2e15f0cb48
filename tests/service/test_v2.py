"""The Open Inference Protocol: by its specification, and by the client of Triton."""

import base64
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from lprnet.service.refusal import Refusal
from lprnet.service.tensor_request import parse
from tests.runtime.tiny_artifact import IMAGE
from tests.service.served import Served, picture

PICTURE = picture()
BASE64 = base64.b64encode(PICTURE).decode()
PIXELS = np.zeros((3, *IMAGE.shape), np.uint8)


def infer(client: httpx.Client, model: str, tensor: dict[str, Any], **more: Any) -> httpx.Response:
    return client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor], **more})


def images(*data: object, **more: Any) -> dict[str, Any]:
    return {"name": "images", "datatype": "BYTES", "shape": [len(data)], "data": data, **more}


def pixels(data: object, **more: Any) -> dict[str, Any]:
    shape = list(PIXELS.shape)
    return {"name": "pixels", "datatype": "UINT8", "shape": shape, "data": data, **more}


def test_health_and_metadata(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for name, datatype, shape in (
        ("lprnet", "BYTES", [-1]),
        ("lprnet-pixels", "UINT8", [-1, *IMAGE.shape]),
    ):
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/1"):
            described = client.get(path).json()
            assert (described["name"], described["versions"]) == (name, ["1"])
            (given,) = described["inputs"]
            assert (given["datatype"], given["shape"]) == (datatype, shape)
            assert [one["name"] for one in described["outputs"]] == [
                "text",
                "confidence",
                "rejected",
                "error",
            ]
            assert client.get(f"{path}/ready").status_code == 200
    for path in ("/v2/models/other", "/v2/models/lprnet/versions/2", "/v2/other"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_files_in_json(client: httpx.Client) -> None:
    answer = infer(client, "lprnet", images(BASE64, "AAAA"), id="7").json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("lprnet", "1", "7")
    outputs = {one["name"]: one for one in answer["outputs"]}
    assert outputs["text"] == {
        "name": "text", "datatype": "BYTES", "shape": [2], "data": ["A", ""],
    }  # fmt: skip
    assert outputs["confidence"]["data"][0] > 0.99
    assert outputs["confidence"]["data"][1] == 0
    assert outputs["rejected"]["data"] == [False, False]
    assert outputs["error"]["data"][0] == ""
    assert "JPEG" in outputs["error"]["data"][1]


@pytest.mark.parametrize("flat", [False, True])
def test_pixels_in_json(client: httpx.Client, flat: bool) -> None:
    data = PIXELS.ravel().tolist() if flat else PIXELS.tolist()
    asked = [{"name": "text"}]
    answer = infer(client, "lprnet-pixels", pixels(data), outputs=asked).json()
    (output,) = answer["outputs"]
    assert output["data"] == ["A"] * 3


def test_binary_tensors_both_ways(client: httpx.Client) -> None:
    """Laid out by hand, as the extension describes it."""
    elements = [PICTURE, b"no image"]
    binary = b"".join(struct.pack("<I", len(one)) + one for one in elements)
    head = json.dumps({
        "inputs": [{
            "name": "images", "datatype": "BYTES", "shape": [2],
            "parameters": {"binary_data_size": len(binary)},
        }],
        "outputs": [
            {"name": "text", "parameters": {"binary_data": True}},
            {"name": "rejected", "parameters": {"binary_data": False}},
            {"name": "confidence", "parameters": {"binary_data": True}},
        ],
    }).encode()  # fmt: skip
    answer = client.post(
        "/v2/models/lprnet/versions/1/infer",
        content=head + binary,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    length = int(answer.headers["Inference-Header-Content-Length"])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert [one["name"] for one in outputs] == ["text", "rejected", "confidence"]
    assert outputs[1]["data"] == [False, False]
    texts = struct.pack("<I", 1) + b"A" + struct.pack("<I", 0)
    assert outputs[0]["parameters"] == {"binary_data_size": len(texts)}
    rest = answer.content[length:]
    assert rest[: len(texts)] == texts
    confidences = struct.unpack("<2f", rest[len(texts) :])
    assert confidences[0] > 0.99
    assert confidences[1] == 0


@pytest.mark.parametrize(
    ("model", "tensor", "more"),
    [
        ("lprnet", images(BASE64, shape=[2]), {}),
        ("lprnet", images(BASE64, shape=[1, 1]), {}),
        ("lprnet", images("!"), {}),
        ("lprnet", images(7), {}),
        ("lprnet", images(), {}),
        ("lprnet", images(*["AAAA"] * 65), {}),
        ("lprnet", images(BASE64, data=None), {}),
        ("lprnet", images(BASE64, name="pictures"), {}),
        ("lprnet", images(BASE64, datatype="UINT8"), {}),
        ("lprnet", images(BASE64, parameters={"binary_data_size": 5}), {}),
        ("lprnet", images(BASE64), {"outputs": [{"name": "logits"}]}),
        ("lprnet", pixels(PIXELS.tolist()), {}),
        ("lprnet-pixels", pixels(PIXELS.ravel().tolist()[1:]), {}),
        ("lprnet-pixels", pixels([[0], [0, 1]]), {}),
        ("lprnet-pixels", pixels((PIXELS - 0.5).tolist()), {}),
        ("lprnet-pixels", pixels((PIXELS.astype(int) - 1).tolist()), {}),
        ("lprnet-pixels", pixels([10**30] * PIXELS.size), {}),
        ("lprnet-pixels", pixels("x"), {}),
        ("lprnet-pixels", pixels(10**15), {}),
        ("lprnet-pixels", pixels(["x" * 1_000_000] + ["y"] * 100_000), {}),
        ("lprnet-pixels", pixels([[[], 0]]), {}),
        ("lprnet-pixels", pixels(None), {}),
        ("lprnet-pixels", pixels([], shape=[-1, *IMAGE.shape]), {}),
        ("lprnet-pixels", pixels([], shape=[0, *IMAGE.shape]), {}),
        ("lprnet-pixels", pixels([], shape=[10**30, *IMAGE.shape]), {}),
        ("lprnet-pixels", pixels([], shape=[]), {}),
    ],
    ids=range(26),
)
def test_wrong_tensors_are_refused_in_a_sentence(
    client: httpx.Client, model: str, tensor: dict[str, Any], more: dict[str, Any]
) -> None:
    answer = infer(client, model, tensor, **more)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


MANY = 1_100_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"parameters": {"a": [' + b"[]," * MANY + b'1]}, "inputs": [%s]}',
        b'{"parameters": {"a": [1]}, "inputs": [%s]}',
        b'{"parameters": {' + b",".join(b'"%d": 1' % n for n in range(99)) + b'}, "inputs": [%s]}',
        b'{"outputs": [' + b'{"name": "text"},' * MANY + b'{"name": "text"}], "inputs": [%s]}',
        b'{"outputs": [' + b'{"name": "text"},' * 99 + b'{"name": "text"}], "inputs": [%s]}',
        b'{"inputs": [%s], "inputs": [{"name": "images", "shape": [' + b"1," * MANY + b"1]}]}",
        b'{"inputs": [%s], "inputs": [{"name": "images", "data": [' + b"[]," * MANY + b"[1]]}]}",
    ],
    ids=range(7),
)
def test_a_request_is_no_larger_in_memory_than_its_bytes_allow(body: bytes) -> None:
    """The lists of one are short, or all its lists are counted before any is made: those of one
    body took 700 MB, as long as its images were waiting, and 5 seconds of all other requests.
    """
    tensor = json.dumps(images(BASE64)).encode()
    with pytest.raises(Refusal) as refused:
        parse(body % tensor, None)
    assert (refused.value.status, len(str(refused.value)) < 300) == (400, True)


def test_an_error_quotes_no_more_than_the_beginning_of_a_name() -> None:
    name = b"n" * 1_000_000
    with pytest.raises(Refusal) as refused:
        parse(b'{"parameters": {"%s": []}, "inputs": []}' % name, None)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("stated", "size", "binary"),
    [
        (None, 9, b"\5\0\0\0" + b"12345"),  # no header: all is JSON
        ("x", 9, b"\5\0\0\0" + b"12345"),
        ("-1", 9, b"\5\0\0\0" + b"12345"),
        ("9" * 40, 9, b"\5\0\0\0" + b"12345"),
        ("", 8, b"\5\0\0\0" + b"12345"),
        ("", 9.0, b"\5\0\0\0" + b"12345"),
        ("", True, b"\1"),
        ("", 9, b"\6\0\0\0" + b"12345"),
        ("", 9, b"\xff\xff\xff\xff" + b"12345"),
        ("", 7, b"\0\0\0\0" + b"\0\0\0"),
    ],
)
def test_wrong_binary_tensors_are_refused(
    client: httpx.Client, stated: str | None, size: object, binary: bytes
) -> None:
    """`stated` is the header, empty for the right one."""
    tensor = images(b"", shape=[1], parameters={"binary_data_size": size})
    del tensor["data"]
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {}
    if stated is not None:
        headers["Inference-Header-Content-Length"] = stated or str(len(head))
    answer = client.post("/v2/models/lprnet/infer", content=head + binary, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


def test_tritons_client_understands_it(server: Served) -> None:
    triton = pytest.importorskip("tritonclient.http", exc_type=ImportError)
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("lprnet", "1")
    assert client.get_model_metadata("lprnet-pixels")["inputs"][0]["shape"] == [-1, *IMAGE.shape]
    files = triton.InferInput("images", [2], "BYTES")
    files.set_data_from_numpy(np.array([PICTURE, b"no image"], object))
    answer = client.infer("lprnet", [files], request_id="x")
    assert answer.as_numpy("text").tolist() == [b"A", b""]
    assert answer.as_numpy("rejected").tolist() == [False, False]
    given = triton.InferInput("pixels", list(PIXELS.shape), "UINT8")
    for binary in (True, False):
        given.set_data_from_numpy(PIXELS, binary_data=binary)
        asked = [triton.InferRequestedOutput(name, binary_data=binary)
                 for name in ("text", "confidence")]  # fmt: skip
        answer = client.infer("lprnet-pixels", [given], outputs=asked)
        texts = [one.decode() if binary else one for one in answer.as_numpy("text").tolist()]
        assert texts == ["A"] * 3
        assert (answer.as_numpy("confidence") > 0.99).all()
    with pytest.raises(triton.InferenceServerException, match="takes the input images"):
        client.infer("lprnet", [given])
    client.close()
