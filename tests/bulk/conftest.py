"""An artifact that is made in a second, and folders of small images."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lprnet.runtime.artifact import write_artifact
from tests.runtime.tiny_artifact import artifact


@pytest.fixture(scope="session")
def letter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It reads A on every image."""
    one = artifact("A", tmp_path_factory.mktemp("letter") / "a.so")
    write_artifact(one)
    return one.path


@pytest.fixture(scope="session")
def png() -> bytes:
    return cv2.imencode(".png", np.zeros((2, 5, 3), np.uint8))[1].tobytes()


@pytest.fixture
def photos(tmp_path: Path, png: bytes) -> Path:
    """30 images; every seventh is cut short, one has a name that is not UTF-8."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(29):
        (folder / f"{number:03}.png").write_bytes(png if number % 7 else png[:-20])
    (folder / "\udcff,\n.png").write_bytes(png)
    return folder
