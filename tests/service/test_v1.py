"""`POST /v1/read`: images in, texts out, and what is refused."""

import base64

import httpx
import pytest
from starlette.testclient import TestClient

from lprnet.runtime.recognizer import Recognizer
from lprnet.service.app import application
from lprnet.service.limits import Limits
from tests.service.served import form, picture

PICTURE = picture()


def test_a_form_of_images_is_read_in_order(client: httpx.Client) -> None:
    files = form(PICTURE, b"no image", picture(".jpg", (40, 30)), b"")
    answer = client.post("/v1/read", files=files)
    assert answer.status_code == 200
    images = answer.json()["images"]
    assert [image["text"] for image in images] == ["A", None, "A", None]
    assert "is not a JPEG" in images[1]["error"]
    assert images[3]["error"]
    first = images[0]
    assert [one["text"] for one in first["characters"]] == ["A"]
    assert 0.99 < first["confidence"] <= 1
    assert (first["rejected"], first["alternatives"], first["error"]) == (False, [], None)


def test_base64_in_json_is_read_as_the_form_is(client: httpx.Client) -> None:
    encoded = [base64.b64encode(PICTURE).decode(), "no base64!", "\u0100", ""]
    images = client.post("/v1/read", json={"images": encoded}).json()["images"]
    read = client.post("/v1/read", files=form(PICTURE)).json()["images"]
    assert images[0] == read[0]
    assert [bool(image["error"]) for image in images] == [False, True, True, True]
    assert "base64" in images[1]["error"]


def test_alternatives_are_other_texts_and_less_probable(client: httpx.Client) -> None:
    answer = client.post("/v1/read?alternatives=2", files=form(PICTURE))
    (image,) = answer.json()["images"]
    assert 1 <= len(image["alternatives"]) <= 2
    confidences = [image["confidence"]] + [one["confidence"] for one in image["alternatives"]]
    assert sorted(confidences, reverse=True) == confidences
    assert len({image["text"], *(one["text"] for one in image["alternatives"])}) == len(confidences)
    assert client.post("/v1/read?alternatives=10", files=form(PICTURE)).status_code == 422


def test_a_text_below_the_least_confidence_is_rejected_and_still_said(
    recognizer: Recognizer,
) -> None:
    app = application(recognizer, Limits(), min_confidence=1.0)
    with TestClient(app) as client:
        (image,) = client.post("/v1/read", files=form(PICTURE)).json()["images"]
        assert (image["text"], image["rejected"]) == ("A", True)
        assert 'lprnet_images_total{outcome="rejected"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, {"files": form(*[PICTURE] * 65)}),
        (400, {"files": form(*[PICTURE] * 200)}),
        (400, {"files": [("pictures", ("a.png", PICTURE))]}),
        (400, {"files": form(PICTURE), "data": {"images": "text"}}),
        (400, {"json": {"images": []}}),
        (400, {"json": {"images": "AAAA"}}),
        (400, {"json": {"images": [None]}}),
        (400, {"json": {"images": ["AAAA"], "path": "/etc/passwd"}}),
        (400, {"json": ["AAAA"]}),
        (400, {"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}),
        (400, {"content": b"", "headers": {"Content-Type": "application/json"}}),
        (400, {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
        (400, {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}),
        (
            400,
            {
                "content": b'{"images": ["\\ud800"]}',
                "headers": {"Content-Type": "application/json"},
            },
        ),
        (415, {"content": PICTURE, "headers": {"Content-Type": "image/png"}}),
        (415, {"content": PICTURE}),
        (415, {"data": {"images": "AAAA"}}),
    ],
    ids=range(17),
)
def test_what_is_no_request_is_refused_in_a_sentence(
    client: httpx.Client, status: int, request_: dict[str, object]
) -> None:
    answer = client.post("/v1/read", **request_)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("image", ["/etc/passwd", "file:///etc/passwd", "../../README.md"])
def test_no_path_is_ever_read(client: httpx.Client, image: str) -> None:
    """A path that is base64 by its letters is the bytes that it encodes."""
    (answer,) = client.post("/v1/read", json={"images": [image]}).json()["images"]
    assert answer["text"] is None
    files = [("images", (image, b"no image"))]
    (answer,) = client.post("/v1/read", files=files).json()["images"]
    assert "passwd" not in answer["error"]
    for path in (f"/{image}", f"/page/{image}", "/page/../app.py", "/..%2f..%2fetc/passwd"):
        assert client.get(path).status_code == 404, path


def test_the_description_names_what_is_there_and_no_other_server(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert {"/v1/read", "/v2/models/{name}/infer", "/v2/health/ready"} <= set(described["paths"])
    assert set(described["paths"]["/v1/read"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/json",
    }
    for path in ("/v1/read/", "/metrics/", "/v2/"):
        assert client.get(path, follow_redirects=False).status_code == 404
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    for path in ("/", "/page.js", "/page.css"):
        page = client.get(path)
        assert page.status_code == 200
        assert "http://" not in page.text
        assert "https://" not in page.text
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
