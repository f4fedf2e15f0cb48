"""The picture of the page in the README: `python -m tests.service.take_screenshot ARTIFACT IMAGE
IMAGE`; Chromium needs a font of Chinese characters, as fonts-wqy-microhei.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.conftest import PROJECT
from tests.service.served import served
from tests.service.test_page import CHROMIUM

PICTURE = PROJECT / "docs" / "service-page.png"


def take(artifact: Path, images: Sequence[Path]) -> None:
    """Read `images` and write the picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(artifact, Path(folder, "log")) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 640, "height": 660})
        page.goto(server.url)
        page.get_by_label("Choose pictures").set_input_files(images)
        expect(page.get_by_role("status")).to_contain_text("done", timeout=60_000)
        page.get_by_text("Alternatives").first.click()
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), list(map(Path, sys.argv[2:])))
