"""A sweep as `lprnet sweep` runs it, with one candidate."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lprnet.compression.prune.width_search import Candidate
from lprnet.measure.timing import Accuracy, Record, record
from lprnet.reports.pruning_sweep import (
    MeasuredPoint,
    SweepOptions,
    SweepResult,
    as_json,
    plot_sweep,
    run_sweep,
    table,
)
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT


def timed(variant: str, ms: float, correct: int) -> Record:
    facts: dict[str, Any] = {
        "variant": variant,
        "engine": "lprnet",
        "isa": "broadwell",
        "batch": 1,
        "warm_up": 0,
    }
    return record(np.array([ms, 2 * ms]), accuracy=Accuracy(correct, 1000), **facts)


UNPRUNED = MeasuredPoint({}, 60_000_000, 500_000, timed("fp32", 0.8, 900))
PRUNED = MeasuredPoint({"backbone.0": 32}, 28_000_000, 300_000, timed("fp32-structured", 0.4, 897))
RESULT = SweepResult((UNPRUNED, PRUNED), PRUNED)


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """Four rendered plates, each file named after its text."""
    for image, text in sample_plates(4):
        (tmp_path / f"{text}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return tmp_path


def test_every_point_is_built_read_and_timed(plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensitivities take minutes and have their own tests; here there is one candidate, and four
    images to calibrate on.
    """
    candidate = Candidate("backbone.4.block.4", 16, 1.0)
    monkeypatch.setattr("lprnet.reports.pruning_sweep.layer_sensitivity", lambda *_: [candidate])
    result = run_sweep(SweepOptions(DEFAULT_CHECKPOINT, plates, plates, (84.0,), 8, 100.0))
    unpruned, pruned = result.measured
    assert not unpruned.widths
    assert pruned.widths == {candidate.name: candidate.width}
    assert pruned.macs <= 84e6 < unpruned.macs
    assert unpruned.accuracy.total == pruned.accuracy.total == 4
    assert 0 < pruned.artifact_bytes < unpruned.artifact_bytes
    assert 0 < pruned.latency.min_ms <= pruned.latency.median_ms
    assert result.chosen == pruned


@pytest.mark.parametrize(("step", "loss"), [(0, 0.5), (8, -1.0), (8, math.nan)])
def test_steps_and_losses_out_of_range_are_refused(step: int, loss: float, plates: Path) -> None:
    with pytest.raises(UserError, match="step"):
        run_sweep(SweepOptions(DEFAULT_CHECKPOINT, None, plates, None, step, loss))


@pytest.mark.parametrize("budget", [0.0, -3.0, math.nan, math.inf])
def test_budgets_out_of_range_are_refused(budget: float, plates: Path) -> None:
    with pytest.raises(UserError, match="budget is a positive number"):
        run_sweep(SweepOptions(DEFAULT_CHECKPOINT, None, plates, (28.0, budget), 8, 0.5))


def test_json_table_and_picture(tmp_path: Path) -> None:
    found = json.loads(json.dumps(as_json(RESULT)))
    assert [point["latency"]["accuracy"]["correct"] for point in found["points"]] == [900, 897]
    assert [point["latency"]["min_ms"] for point in found["points"]] == [0.8, 0.4]
    assert found["chosen"]["widths"] == {"backbone.0": 32}
    assert table(RESULT).row_count == 2
    plot_sweep(RESULT, tmp_path / "sweep.png")
    assert cv2.imread(str(tmp_path / "sweep.png")) is not None
