"""A sweep as `scripts/sweep.py` runs it, on one cut of a narrow network."""

import json
from pathlib import Path

import cv2
import pytest

from lprnet import sweep_report
from lprnet.errors import UserError
from lprnet.sweep import Cut
from lprnet.sweep_report import Measured, Outcome, Request, as_json, plot, run_sweep, table
from lprnet.synthetic import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT

UNPRUNED = Measured({}, 60_000_000, 900, 1000, 0.8, 500_000)
PRUNED = Measured({"backbone.0": 32}, 28_000_000, 897, 1000, 0.4, 300_000)
OUTCOME = Outcome((UNPRUNED, PRUNED), PRUNED)


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """Four rendered plates, each file named after its text."""
    for image, text in sample_plates(4):
        (tmp_path / f"{text}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return tmp_path


def test_every_point_is_built_read_and_timed(plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pricing takes minutes and has its own tests; here one cut is on offer."""
    cut = Cut("backbone.4.block.4", 16, 1.0)
    monkeypatch.setattr(sweep_report, "price_cuts", lambda *_: [cut])
    outcome = run_sweep(Request(DEFAULT_CHECKPOINT, None, plates, (84.0,), 8, 100.0))
    unpruned, pruned = outcome.measured
    assert not unpruned.widths
    assert pruned.widths == {cut.name: cut.width}
    assert pruned.macs <= 84e6 < unpruned.macs
    assert unpruned.total == pruned.total == 4
    assert 0 < pruned.artifact_bytes < unpruned.artifact_bytes
    assert pruned.min_ms > 0
    assert outcome.chosen == pruned


@pytest.mark.parametrize(("step", "loss"), [(0, 0.5), (8, -1.0)])
def test_senseless_steps_and_losses_are_refused(step: int, loss: float, plates: Path) -> None:
    with pytest.raises(UserError, match="step"):
        run_sweep(Request(DEFAULT_CHECKPOINT, None, plates, None, step, loss))


def test_what_programs_and_people_get(tmp_path: Path) -> None:
    found = json.loads(json.dumps(as_json(OUTCOME)))
    assert [point["correct"] for point in found["points"]] == [900, 897]
    assert found["chosen"]["widths"] == {"backbone.0": 32}
    assert table(OUTCOME).row_count == 2
    plot(OUTCOME, tmp_path / "sweep.png")
    assert cv2.imread(str(tmp_path / "sweep.png")) is not None
