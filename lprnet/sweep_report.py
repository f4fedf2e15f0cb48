"""`scripts/sweep.py`'s work: structured pruning at several budgets, each built, read and timed."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from lprnet.backends import open_backend
from lprnet.build import latency
from lprnet.calibration import calibrate, calibration_files, read_images, rendered_images
from lprnet.checkpoint import load_model
from lprnet.compile import Source, compile_network
from lprnet.errors import UserError
from lprnet.evaluate import correct_images
from lprnet.fold import fold, macs
from lprnet.images import label_of, list_images, normalise
from lprnet.model import LPRNet
from lprnet.network import float_network
from lprnet.replacing import replacing
from lprnet.subnormals import subnormals_as_zero
from lprnet.sweep import Point, price_cuts, smallest_within, sweep
from lprnet.targets import find_target

BUDGETS = (0.8, 0.65, 0.5, 0.45, 0.42, 0.4, 0.38, 0.36)
"""Multiply-accumulates in parts of the unpruned network's, where the user names none."""
BLUE, ORANGE = "#0072B2", "#D55E00"
"""From Okabe and Ito's palette, told apart by every kind of colour vision."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    checkpoint: Path
    calibration: Path | None
    data: Path
    """Images named after their plates; read to measure, never to prune."""
    budgets: tuple[float, ...] | None
    """Millions of multiply-accumulates; None for parts of the unpruned network's."""
    step: int
    """Widths are multiples of it."""
    loss: float
    """Accuracy that pruning may cost, in percentage points."""


@dataclass(frozen=True)
class Measured:
    """One float32 artifact of the sweep."""

    widths: Mapping[str, int]
    """Convolutions that were narrowed; none in the unpruned network."""
    macs: int
    correct: int
    total: int
    min_ms: float
    """One thread, batch 1."""
    artifact_bytes: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.total


@dataclass(frozen=True)
class Outcome:
    """The unpruned network first, then one a budget, and which of all is the answer."""

    measured: tuple[Measured, ...]
    chosen: Measured
    """Of least work within the loss allowed."""


@subnormals_as_zero()
def run_sweep(request: Request) -> Outcome:
    """Price every cut, prune to every budget, build and measure each result.

    Raises `UserError` for a bad checkpoint, image, budget, step or loss.
    """
    if request.step < 1 or request.loss < 0:
        raise UserError("a step must be at least 1 and an accuracy loss at least 0.")
    paths = list_images([str(request.data)])
    labels = [label_of(path) for path in paths]
    model = load_model(request.checkpoint)
    files = [] if request.calibration is None else calibration_files(request.calibration)
    images = read_images(files) if files else rendered_images()
    calibrate(model, images)
    pixels = torch.from_numpy(normalise(images))
    whole = macs(fold(model))
    budgets = [int(1e6 * budget) for budget in request.budgets or ()]
    budgets = budgets or [int(part * whole) for part in BUDGETS]
    source = Source(request.checkpoint, tuple(file.name for file in files))
    found: list[tuple[int, int, float, int]] = []

    def measure(pruned: LPRNet) -> float:
        correct, min_ms, size = _measure(pruned, source, images, paths, labels)
        found.append((macs(fold(pruned)), correct, min_ms, size))
        return correct / len(paths)

    points = [Point({}, whole, measure(model), model)]
    points += sweep(model, pixels, price_cuts(model, pixels, request.step), budgets, measure)
    measured = tuple(
        Measured(dict(point.widths), work, correct, len(paths), min_ms, size)
        for point, (work, correct, min_ms, size) in zip(points, found, strict=True)
    )
    best = smallest_within(points, measured[0].accuracy - request.loss / 100)
    chosen = next(one for one, point in zip(measured, points, strict=True) if point is best)
    return Outcome(measured, chosen)


def _measure(
    pruned: LPRNet,
    source: Source,
    images: NDArray[np.uint8],
    paths: Sequence[Path],
    labels: Sequence[str],
) -> tuple[int, float, int]:
    """Correct texts, milliseconds and bytes of the artifact of `pruned` for this CPU."""
    target = find_target("native")
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder, "pruned.so")
        built = compile_network({target: float_network(pruned)}, source, images, artifact)
        correct = len(correct_images(open_backend(artifact, "tvm"), paths, labels))
        return correct, latency(built, images[:1]).min_ms, artifact.stat().st_size


def as_json(outcome: Outcome) -> dict[str, object]:
    """One object for programs: every point, and the one that was chosen."""

    def point(one: Measured) -> dict[str, object]:
        return {**vars(one), "widths": dict(one.widths)}

    return {
        "points": [point(one) for one in outcome.measured],
        "chosen": point(outcome.chosen),
    }


def table(outcome: Outcome) -> Table:
    """Every point for a terminal, the chosen one marked."""
    columns = ("MMAC", "correct", "ms", "KiB", "channels that stay")
    rows = Table("", *columns, title="structured pruning")
    for one in outcome.measured:
        widths = ", ".join(f"{name} {width}" for name, width in sorted(one.widths.items()))
        rows.add_row(
            "chosen" if one == outcome.chosen else "",
            f"{one.macs / 1e6:.1f}",
            f"{one.correct}/{one.total}",
            f"{one.min_ms:.3f}",
            f"{one.artifact_bytes / 1024:.0f}",
            widths or "all",
        )
    return rows


def plot(outcome: Outcome, picture: Path) -> None:
    """Accuracy against work and against latency, as a PNG. Raises `UserError` as `replacing`."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    accuracies = [100 * one.accuracy for one in outcome.measured]
    for axes, label, values, chosen in (
        (
            left,
            "million multiply-accumulates",
            [one.macs / 1e6 for one in outcome.measured],
            outcome.chosen.macs / 1e6,
        ),
        (
            right,
            "ms a plate, one thread",
            [one.min_ms for one in outcome.measured],
            outcome.chosen.min_ms,
        ),
    ):
        axes.plot(values, accuracies, color=BLUE, marker=".")
        axes.plot(chosen, 100 * outcome.chosen.accuracy, "D", color=ORANGE, label="chosen")
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    left.set_ylabel("plates read exactly, %")
    left.legend()
    with replacing(picture) as partial:
        figure.savefig(partial, dpi=120, format="png")
