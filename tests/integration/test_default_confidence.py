"""Confidences of the weights that ship, by the issue's bars on fewer plates."""

import pytest

from lprnet.compiler.targets import PORTABLE
from lprnet.reports.confidence import calibrate
from tests.prepared import default_artifact
from tests.shared_results import SharedResults


def test_confidences_say_how_often_plates_are_right(
    shared_results: SharedResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lprnet calibrate` fits on 5,000 rendered plates and checks on 5,000 others."""
    artifact = shared_results.call(default_artifact, PORTABLE, shared_results.folder)
    monkeypatch.setattr(calibrate, "OTHER_IMAGES", 300)
    monkeypatch.setattr(calibrate, "OTHER_TEXTS", 20)
    found = calibrate.measure(artifact, None, 400)
    assert found.error <= 0.03
    assert found.accepted.precision >= 0.97
    assert found.other_images_accepted <= 0.01
