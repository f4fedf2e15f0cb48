"""The measurement of tilted plates, which the page on other networks names."""

import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def tilted_plates() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tilted_plates", DOCS / "tilted_plates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_counts_what_is_read_tilted_and_upright_again(
    tilted_plates: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for image, text in sample_plates(8):
        (tmp_path / f"{text}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    arguments = ["tilted_plates", f"--checkpoint={DEFAULT_CHECKPOINT}", f"--data={tmp_path}"]
    monkeypatch.setattr("sys.argv", arguments)
    tilted_plates.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["degrees", "tilted", "upright", "again"]
    rows = [[int(word) for word in line.replace("of", "").split()] for line in lines]
    assert [row[0] for row in rows] == list(tilted_plates.ANGLES)
    assert {row[3] for row in rows} == {8}
    assert all(0 <= count <= 8 for row in rows for count in row[1:3])
    # Upright ones are read; tilted by 15 degrees, more of them are read upright again.
    assert rows[0][1] >= 7
    assert rows[-1][2] >= rows[-1][1]


def test_upright_again_is_the_image_that_was_turned(tilted_plates: ModuleType) -> None:
    """But for what the small tilted image has lost: smooth pixels come back."""
    rows, columns = np.mgrid[0:24, 0:94].astype(np.float32)
    smooth = np.stack([60 + 6 * rows, 80 + columns, 120 + 40 * np.sin(columns / 15)], axis=2)
    image = smooth.round().astype(np.uint8)
    for angle in (0, 5, 10):
        tilted, upright = tilted_plates.turned(image, angle)
        assert tilted.shape == upright.shape == image.shape
        middle = np.s_[4:-4, 8:-8]
        off = np.abs(upright[middle].astype(int) - image[middle].astype(int))
        assert off.mean() < 2
    assert np.abs(tilted[middle].astype(int) - image[middle].astype(int)).mean() > 4
