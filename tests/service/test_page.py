"""The page at `/`, in the system's Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.served import Served, picture, served

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here; apt-get install chromium"
)
MILLISECONDS = 60_000.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, server: Served) -> Iterator[Any]:
    """The page on a phone. At the end: it asked no other server, and nothing failed in it."""
    with opened(browser, server) as (page, asked, failed):
        yield page
        assert all(url.startswith((server.url, "blob:")) for url in asked), asked
        assert failed == []


class opened:
    """A page of `server`, the addresses that it asks, and the errors of its scripts and policy."""

    def __init__(self, browser: Any, server: Served) -> None:
        self.context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.asked: list[str] = []
        self.failed: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.failed.append(said.text) if said.type == "error" else None,
        )
        self.page.goto(server.url)

    def __enter__(self) -> tuple[Any, list[str], list[str]]:
        return self.page, self.asked, self.failed

    def __exit__(self, *_: object) -> None:
        self.context.close()


def file(name: str, content: bytes = picture(size=(94, 24))) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def plates(page: Any) -> Any:
    return page.get_by_role("list", name="Plates that were read").locator("article")


def test_chosen_pictures_are_read_and_shown(page: Any) -> None:
    page.get_by_label("Choose pictures").set_input_files(
        [file("one.png"), file("bad.png", b"no image"), file("two.png")]
    )
    sync_api.expect(page.get_by_role("status")).to_have_text("3 pictures are done.")
    sync_api.expect(plates(page)).to_have_count(3)
    newest = plates(page).first
    sync_api.expect(newest.get_by_role("heading")).to_have_text("A")
    sync_api.expect(newest.get_by_role("img", name="The picture two.png")).to_be_visible()
    characters = newest.get_by_role("list", name="Characters and their confidence")
    sync_api.expect(characters.get_by_role("listitem")).to_contain_text(["A"])
    sync_api.expect(newest.locator(".note")).to_contain_text(" ms")
    newest.get_by_text("Alternatives").click()
    sync_api.expect(newest.locator(".others li").first).to_be_visible()
    sync_api.expect(plates(page).nth(1)).to_contain_text("bad.png: the image is not a JPEG")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    size = newest.get_by_role("heading").evaluate(
        "node => parseFloat(getComputedStyle(node).fontSize)"
    )
    assert size >= 32


def test_the_camera_is_asked_for_without_https(page: Any) -> None:
    camera = page.get_by_label("Use the camera")
    assert camera.get_attribute("capture") == "environment"
    camera.set_input_files(file("photo.png"))
    sync_api.expect(page.get_by_role("status")).to_contain_text("Read: A")


def test_dropped_pictures_are_read(page: Any) -> None:
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            const file = new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"});
            transfer.items.add(file);
            return transfer;
        }""",
        list(picture()),
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})
    sync_api.expect(plates(page)).to_have_count(1)


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.get_by_label("Choose pictures").set_input_files(file("one.png"))
    sync_api.expect(plates(page)).to_have_count(1)
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        outlined = page.evaluate(
            """() => {
                const active = document.activeElement;
                const shown = active.labels?.[0] ?? active;
                return getComputedStyle(shown).outlineStyle;
            }"""
        )
        assert outlined == "solid", reached
    assert reached == ["files", "camera", "SUMMARY"]
    page.keyboard.press("Enter")
    sync_api.expect(page.locator(".others li").first).to_be_visible()


def test_the_token_is_asked_for_and_the_pictures_are_read_then(
    browser: Any, letter: Path, tmp_path: Path
) -> None:
    token = "a-token-of-visible-characters"
    (tmp_path / "token").write_text(token)
    with (
        served(letter, tmp_path / "log", "--token-file", tmp_path / "token") as server,
        opened(browser, server) as (page, _, _),
    ):
        page.get_by_label("Choose pictures").set_input_files(file("one.png"))
        sync_api.expect(page.get_by_role("status")).to_contain_text("give the token")
        sync_api.expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.type(token)
        page.keyboard.press("Enter")
        sync_api.expect(plates(page)).to_have_count(1)
        sync_api.expect(page.get_by_label("Token")).to_be_hidden()


def test_a_service_that_is_gone_is_said(browser: Any, letter: Path, tmp_path: Path) -> None:
    with served(letter, tmp_path / "log") as server, opened(browser, server) as (page, _, _):
        server.process.terminate()
        server.process.wait(MILLISECONDS / 1000)
        page.get_by_label("Choose pictures").set_input_files(file("one.png"))
        sync_api.expect(page.get_by_role("status")).to_contain_text("does not answer")
