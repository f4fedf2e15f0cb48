"""The whole command on an artifact and a few labelled images."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.model.confidence_file import confidence_file, read_confidence, write_confidence
from lprnet.reports.confidence import calibrate as module
from lprnet.reports.confidence.grammar_threshold import best_ratio, compare_ratios
from lprnet.reports.confidence.run import calibrate, summary
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.artifact import read_manifest, write_artifact
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.decode import decode
from lprnet.runtime.image_format import PUBLISHED
from lprnet.support.errors import UserError
from tests.runtime.tiny_artifact import artifact


def spelled(text: str, sure: float) -> NDArray[np.float32]:
    """`(68, 18)` logits for `text`, its last character `sure` above the next."""
    logits = np.zeros((68, 18), np.float32)
    logits[CHINA.blank] = 15
    for position, character in enumerate(text):
        logits[CHINA.index[character], 2 * position] = 30
    logits[CHINA.index["7"], 2 * len(text) - 2] = 30 - sure
    return logits


def test_labelled_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image says by its grey value how sure the network is, and how often it is right."""
    rng = np.random.default_rng(1)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(200):
        grey = int(rng.integers(0, 50))
        right = rng.random() < 1 / (1 + np.exp(-grey / 20))
        name = f"皖A1234{5 if right else 6}-{number:03}.png"
        image = np.full((24, 94, 3), grey, np.uint8)
        (data / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([spelled("皖A12345", image[0, 0, 0] / 10) for image in images])

    reader = SimpleNamespace(
        logits=logits, manifest=SimpleNamespace(alphabet=CHINA, image=PUBLISHED)
    )
    monkeypatch.setattr(module, "Recognizer", lambda path: reader)
    monkeypatch.setattr(module, "OTHER_TEXTS", 20)
    monkeypatch.setattr(module, "OTHER_IMAGES", 30)
    path = tmp_path / "letter.so"
    write_artifact(artifact("A", path))
    checkpoint = tmp_path / "letter.pth"
    checkpoint.write_bytes(b"weights")
    monkeypatch.setattr("lprnet.reports.confidence.run.file_digest", lambda path: "0" * 64)
    found = calibrate(path, data, 100, tmp_path / "out", checkpoint, data)
    assert found.elsewhere is not None
    assert found.elsewhere.rejected == pytest.approx(found.accepted.rejected, abs=0.2)
    # The network's odds are e^(grey / 10); the truth is their square root.
    assert found.calibration.temperature == pytest.approx(2, rel=0.6)
    assert found.error < 0.15
    assert read_manifest(path).confidence == found.calibration
    assert read_confidence(checkpoint) == found.calibration
    content = json.loads((tmp_path / "out" / "reliability.json").read_text())
    assert sum(one["plates"] for one in content["bins"]) == 100
    assert cv2.imread(str(tmp_path / "out" / "reliability.png")) is not None
    assert any("in use is" in line for line in summary(found))


def test_user_errors(tmp_path: Path) -> None:
    path = tmp_path / "letter.so"
    write_artifact(artifact("A", path))
    with pytest.raises(UserError, match="alphabet two cannot be rendered; .*--data"):
        calibrate(path, None, 100, tmp_path / "out")
    other = tmp_path / "other.pth"
    other.write_bytes(b"others")
    with pytest.raises(UserError, match="was not built from"):
        calibrate(path, None, 100, tmp_path / "out", other)
    assert not (tmp_path / "out").exists()
    assert read_manifest(path).confidence is None


def test_a_calibration_is_of_its_checkpoint_alone(tmp_path: Path) -> None:
    checkpoint = tmp_path / "a.pth"
    checkpoint.write_bytes(b"weights")
    assert read_confidence(checkpoint) is None
    calibration = ConfidenceCalibration(1.5, 0.25, "plates", 10, 0.75)
    write_confidence(checkpoint, calibration)
    assert read_confidence(checkpoint) == calibration
    checkpoint.write_bytes(b"others")
    assert read_confidence(checkpoint) is None
    for broken in ("", "[]", '{"confidence": 1}', "[" * 100_000, "\udcff"):
        confidence_file(checkpoint).write_bytes(broken.encode(errors="surrogateescape"))
        with pytest.raises(UserError, match="no calibration of confidences"):
            read_confidence(checkpoint)


def test_ratios_by_hand() -> None:
    """A plate with a doubtful O behind it, and a sure text that is no plate."""
    plate = spelled("皖A12345", 20)
    plate[CHINA.index["O"], 16] = 17  # odds of e^2
    other = spelled("皖A123", 20)
    choices = compare_ratios(plate[None], ["皖A12345"], other[None], ["皖A123"], CHINA)
    assert [one.plates_right for one in choices] == [0, *[1] * 10]
    assert choices[0].others_right == 1
    assert [one.others_right for one in choices] == sorted(
        (one.others_right for one in choices), reverse=True
    )
    best = next(one for one in choices if one.ratio == best_ratio(choices))
    assert (best.plates_right, best.others_right) == (1, 1)
    assert decode(other[None], grammar=True)[0][0].text == "皖A123"
