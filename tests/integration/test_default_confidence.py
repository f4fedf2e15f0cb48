"""Confidences of the weights that ship, by the issue's bars on fewer plates."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.reports.confidence import calibrate
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.image_format import PUBLISHED
from lprnet.training.network_slimming import live_channels, narrow
from lprnet.weights import DEFAULT_CHECKPOINT


def test_confidences_say_how_often_plates_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lprnet calibrate` fits on 5,000 rendered plates and checks on 5,000 others."""
    full = load_model(DEFAULT_CHECKPOINT)
    model = narrow(full, live_channels(full)).eval()

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = [model(torch.from_numpy(normalise(p))) for p in np.array_split(images, 8)]
        return torch.cat(parts).numpy()

    reader = SimpleNamespace(
        logits=logits, manifest=SimpleNamespace(alphabet=CHINA, image=PUBLISHED)
    )
    monkeypatch.setattr(calibrate, "Recognizer", lambda path: reader)
    monkeypatch.setattr(calibrate, "OTHER_IMAGES", 300)
    monkeypatch.setattr(calibrate, "OTHER_TEXTS", 20)
    found = calibrate.measure(Path("default"), None, 400)
    assert found.error <= 0.03
    assert found.accepted.precision >= 0.97
    assert found.other_images_accepted <= 0.01
