"""A sweep as `lprnet sweep` runs it, with one candidate."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lprnet.compiler.complexity import count_macs
from lprnet.compression.prune.kept_widths import Keep, read_widths
from lprnet.compression.prune.width_search import Candidate
from lprnet.compression.variants import prepare
from lprnet.distillation.text_agreement import TextAgreement
from lprnet.measure.timing import Accuracy, Record, record
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.reports.pruning_sweep.render import draw, plot_sweep, table
from lprnet.reports.pruning_sweep.results import (
    MeasuredPoint,
    SweepResult,
    as_json,
    write_chosen,
)
from lprnet.reports.pruning_sweep.run import SweepOptions, run_sweep
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

RUN = "lprnet.reports.pruning_sweep.run"


def timed(variant: str, ms: float, correct: int) -> Record:
    facts: dict[str, Any] = {
        "variant": variant,
        "engine": "lprnet",
        "isa": "broadwell",
        "batch": 1,
        "warm_up": 0,
    }
    return record(np.array([ms, 2 * ms]), accuracy=Accuracy(correct, 1000), **facts)


UNPRUNED = MeasuredPoint({}, False, False, 60_000_000, 500_000, timed("fp32", 0.8, 900), None)
PRUNED = MeasuredPoint(
    {"backbone.0": 32},
    False,
    False,
    28_000_000,
    300_000,
    timed("fp32-structured", 0.4, 897),
    TextAgreement(1000, 801, 950, 870),
)
DISTILLED = replace(
    PRUNED, half_rows=True, distilled=True, agreement=TextAgreement(1000, 903, 950, 930)
)
RESULT = SweepResult((UNPRUNED, PRUNED, DISTILLED), PRUNED)


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
    monkeypatch.setattr(f"{RUN}.layer_sensitivity", lambda *_: [candidate])
    monkeypatch.setattr(f"{RUN}.AGREEMENT_PLATES", 4)
    result = run_sweep(SweepOptions(DEFAULT_CHECKPOINT, plates, plates, (84.0,), 8, 100.0))
    unpruned, pruned = result.measured
    assert not unpruned.widths
    assert pruned.widths == {candidate.name: candidate.width}
    assert pruned.macs <= 84e6 < unpruned.macs
    assert unpruned.accuracy.total == pruned.accuracy.total == 4
    assert 0 < pruned.artifact_bytes < unpruned.artifact_bytes
    assert 0 < pruned.latency.min_ms <= pruned.latency.median_ms
    assert result.chosen == pruned
    assert unpruned.agreement is None
    assert pruned.agreement is not None
    assert pruned.agreement.plates == 4


def test_integers_and_training_are_points_of_their_own(
    plates: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole network in float32 and in integers, the refitted one, and the same widths trained
    for a step.
    """
    small = seeded(ThirdPartyLPRNet(68, widths=(8, 32, 32, 32, 16)))
    checkpoint = tmp_path_factory.mktemp("network") / "small.pth"
    torch.save(state_of(small), checkpoint)
    candidate = Candidate("backbone.8.block.6", 16, 1.0)
    monkeypatch.setattr(f"{RUN}.layer_sensitivity", lambda *_: [candidate])
    monkeypatch.setattr(f"{RUN}.LATENCY_ROUNDS", 1)
    monkeypatch.setattr(f"{RUN}.AGREEMENT_PLATES", 4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(f"{RUN}.BUDGETS", (0.99,))
    options = SweepOptions(checkpoint, plates, plates, None, 8, 100.0)
    result = run_sweep(replace(options, quantized=True, distill=1))
    variants = [one.latency.variant for one in result.measured]
    assert variants == ["fp32", "int8", "int8-structured", "int8-structured"]
    assert [one.distilled for one in result.measured] == [False, False, False, True]
    _, whole, refitted, trained = result.measured
    assert refitted.widths == trained.widths == {candidate.name: candidate.width}
    assert max(refitted.macs, trained.macs) < whole.macs
    assert all(one.agreement is not None for one in result.measured[1:])


def test_rows_go_too_where_that_is_nearer(
    plates: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From what is trained alone; and such a network is not chosen, for a file of widths cannot say
    it.
    """
    small = seeded(ThirdPartyLPRNet(68, widths=(8, 32, 32, 32, 16)))
    checkpoint = tmp_path_factory.mktemp("network") / "small.pth"
    torch.save(state_of(small), checkpoint)
    layers = [f"backbone.{block}.block.{n}" for block in (4, 8, 11) for n in (0, 2, 4, 6)]
    candidates = [Candidate(name, 4, 1.0) for name in layers]
    monkeypatch.setattr(f"{RUN}.layer_sensitivity", lambda *_: candidates)
    monkeypatch.setattr(f"{RUN}.LATENCY_ROUNDS", 1)
    monkeypatch.setattr(f"{RUN}.AGREEMENT_PLATES", 4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(f"{RUN}.BUDGETS", (0.7,))
    distances = iter([1.0, 2.0])  # of half of the rows, of channels alone
    monkeypatch.setattr(f"{RUN}.distance", lambda *_: next(distances))
    result = run_sweep(SweepOptions(checkpoint, plates, plates, None, 8, 100.0, distill=1))
    whole, refitted, trained = result.measured
    assert [one.half_rows for one in result.measured] == [False, False, True]
    assert trained.pruned
    assert max(refitted.macs, trained.macs) <= 0.7 * whole.macs
    assert result.chosen is refitted


@pytest.mark.parametrize(("step", "loss"), [(0, 0.5), (8, -1.0), (8, math.nan)])
def test_steps_and_losses_out_of_range_are_refused(step: int, loss: float, plates: Path) -> None:
    with pytest.raises(UserError, match="step"):
        run_sweep(SweepOptions(DEFAULT_CHECKPOINT, None, plates, None, step, loss))


@pytest.mark.parametrize("budget", [0.0, -3.0, math.nan, math.inf])
def test_budgets_out_of_range_are_refused(budget: float, plates: Path) -> None:
    with pytest.raises(UserError, match="budget is a positive number"):
        run_sweep(SweepOptions(DEFAULT_CHECKPOINT, None, plates, (28.0, budget), 8, 0.5))


def test_lines_run_from_left_to_right() -> None:
    """Also where budgets are given from the smallest to the largest."""
    small = replace(PRUNED, macs=8_000_000, latency=timed("fp32-structured", 0.1, 500))
    result = SweepResult((UNPRUNED, small, PRUNED), PRUNED)
    for is_latency, expected in ((True, [0.1, 0.4, 0.8]), (False, [8, 28, 60])):
        axes = Figure().subplots()
        draw(axes, result, is_latency)
        refitted = axes.lines[0]
        assert np.asarray(refitted.get_xdata()).tolist() == expected
        assert np.asarray(refitted.get_ydata()).tolist() == [50.0, 89.7, 90.0]


def test_json_table_and_picture(tmp_path: Path) -> None:
    found = json.loads(json.dumps(as_json(RESULT)))
    assert [point["latency"]["accuracy"]["correct"] for point in found["points"]] == [900, 897, 897]
    assert [point["latency"]["min_ms"] for point in found["points"]] == [0.8, 0.4, 0.4]
    assert found["chosen"]["widths"] == {"backbone.0": 32}
    assert [point["agreement"] and point["agreement"]["same"] for point in found["points"]] == [
        None,
        801,
        903,
    ]
    cells = list(table(RESULT).columns[-1].cells)
    assert cells == ["fp32", "refitted", "distilled, half rows"]
    plot_sweep(RESULT, tmp_path / "sweep.png")
    assert cv2.imread(str(tmp_path / "sweep.png")) is not None


def test_the_chosen_widths_are_a_file_for_build(tmp_path: Path) -> None:
    write_chosen(RESULT, tmp_path / "widths.json")
    assert read_widths(tmp_path / "widths.json", LPRNET_CHINA) == PRUNED.widths
    whole = SweepResult((UNPRUNED,), UNPRUNED)
    with pytest.raises(
        UserError, match="none.json was not written, for no pruned network with all rows"
    ):
        write_chosen(whole, tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_another_network_is_swept_and_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grey one of 37 classes: `sweep --widths FILE`, then `build --widths FILE`."""
    checkpoint, photos = tmp_path / "theirs.pth", tmp_path / "photos"
    theirs = seeded(ThirdPartyLPRNet(37, widths=(8, 32, 32, 32, 16), channels=1))
    torch.save(state_of(theirs), checkpoint)
    photos.mkdir()
    for text in ("AB12", "CD34"):
        pixels = np.random.default_rng(len(text)).integers(0, 256, (30, 90, 3), np.uint8)
        cv2.imwrite(str(photos / f"{text}.png"), pixels)
    candidate = Candidate("backbone.8.block.6", 16, 1.0)
    monkeypatch.setattr(f"{RUN}.layer_sensitivity", lambda *_: [candidate])
    monkeypatch.setattr(f"{RUN}.LATENCY_ROUNDS", 1)
    monkeypatch.setattr(f"{RUN}.BUDGETS", (0.99,))
    with pytest.raises(UserError, match="alphabet latin, and plates are rendered of China's"):
        run_sweep(SweepOptions(checkpoint, None, photos, None, 8, 100.0))
    result = run_sweep(SweepOptions(checkpoint, photos, photos, None, 8, 100.0))
    assert result.chosen.widths == {"backbone.8.block.6": 16}
    write_chosen(result, tmp_path / "widths.json")
    network, _, _ = prepare(
        checkpoint, photos, None, "structured", keep=Keep(tmp_path / "widths.json")
    )
    assert network.pruning == "whole channels, widths of widths.json"
    assert count_macs(network.module) == result.chosen.macs
