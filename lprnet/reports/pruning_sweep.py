"""`scripts/sweep.py`'s work: structured pruning at several budgets, each built, read and timed."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import (
    calibrate,
    calibration_files,
    read_images,
    rendered_images,
)
from lprnet.compression.fold_constants import fold, macs
from lprnet.compression.prune.width_search import Point, price_cuts, smallest_within, sweep
from lprnet.compression.variants import float_network
from lprnet.measure.accuracy import correct_images
from lprnet.measure.backends import open_backend
from lprnet.measure.timing import Accuracy, Record, interleaved_timings, on_one_core, record
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.image_io import label_of, list_images, normalise
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import replacing
from lprnet.support.errors import UserError

BUDGETS = (0.8, 0.65, 0.5, 0.45, 0.42, 0.4, 0.38, 0.36)
"""Multiply-accumulates in parts of the unpruned network's, where the user names none."""
WARM_UP, REPEATS = 10, 200
BLUE, ORANGE = "#0072B2", "#D55E00"
"""From Okabe and Ito's palette, told apart by every kind of colour vision."""


@dataclass(frozen=True)
class SweepOptions:
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
    artifact_bytes: int
    latency: Record
    """One thread, batch 1, in turns with all others; with the images read."""

    @property
    def accuracy(self) -> Accuracy:
        assert self.latency.accuracy is not None
        return self.latency.accuracy


@dataclass(frozen=True)
class Outcome:
    """The unpruned network first, then one a budget, and which of all is the answer."""

    measured: tuple[Measured, ...]
    chosen: Measured
    """Of least work within the loss allowed."""


@subnormals_as_zero()
def run_sweep(request: SweepOptions) -> Outcome:
    """Price every cut, prune to every budget, build and read with each result, then time them all.

    Raises `UserError` for a bad checkpoint, image, budget, step or loss.
    """
    _check(request)
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
    target = find_target("native")
    with tempfile.TemporaryDirectory() as folder:
        artifacts: list[Path] = []
        read: list[int] = []

        def evaluate(pruned: LPRNet) -> float:
            artifacts.append(Path(folder, f"{len(artifacts)}.so"))
            compile_network(float_network(pruned), (target,), source, images, artifacts[-1])
            logits = open_backend(artifacts[-1], "tvm")
            read.append(len(correct_images(logits, paths, labels)))
            return read[-1] / len(paths)

        points = [Point({}, whole, evaluate(model), model)]
        points += sweep(model, pixels, price_cuts(model, pixels, request.step), budgets, evaluate)
        accuracies = [Accuracy(correct, len(paths)) for correct in read]
        latencies = time_in_turns(artifacts, accuracies, images[:1])
        sizes = [artifact.stat().st_size for artifact in artifacts]
    measured = tuple(
        Measured(dict(point.widths), point.macs, size, latency)
        for point, size, latency in zip(points, sizes, latencies, strict=True)
    )
    best = smallest_within(points, points[0].accuracy - request.loss / 100)
    return Outcome(measured, measured[points.index(best)])


def _check(request: SweepOptions) -> None:
    """Raises `UserError` for numbers that make no sense."""
    if request.step < 1 or not 0 <= request.loss <= 100:
        raise UserError("a step must be at least 1 and an accuracy loss between 0 and 100.")
    if not all(0 < budget < math.inf for budget in request.budgets or ()):
        raise UserError("a budget is a positive number of million multiply-accumulates.")


def time_in_turns(
    artifacts: Sequence[Path], accuracies: Sequence[Accuracy], image: NDArray[np.uint8]
) -> list[Record]:
    """The latency of each artifact, one thread, through the Python API."""
    readers = {str(artifact): Recognizer(artifact) for artifact in artifacts}
    calls = {name: partial(reader.logits, image) for name, reader in readers.items()}
    with on_one_core():
        samples = interleaved_timings(calls, REPEATS, WARM_UP)
    return [
        record(
            samples[name],
            variant="fp32-structured" if number else "fp32",
            engine="lprnet",
            isa=reader.code.target,
            batch=1,
            warm_up=WARM_UP,
            accuracy=accuracies[number],
        )
        for number, (name, reader) in enumerate(readers.items())
    ]


def as_json(outcome: Outcome) -> dict[str, object]:
    """One object for programs: every point, and the one that was chosen."""

    def point(one: Measured) -> dict[str, object]:
        return {**vars(one), "widths": dict(one.widths), "latency": one.latency.as_json()}

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
            f"{one.accuracy.correct}/{one.accuracy.total}",
            f"{one.latency.min_ms:.3f}",
            f"{one.artifact_bytes / 1024:.0f}",
            widths or "all",
        )
    return rows


def plot(outcome: Outcome, picture: Path) -> None:
    """Accuracy against work and against latency, as PNG, SVG or PDF, which its
    ending names. Raises `UserError` as `replacing`."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)

    def percent(one: Measured) -> float:
        return 100 * one.accuracy.correct / one.accuracy.total

    accuracies = [percent(one) for one in outcome.measured]
    for axes, label, values, chosen in (
        (
            left,
            "million multiply-accumulates",
            [one.macs / 1e6 for one in outcome.measured],
            outcome.chosen.macs / 1e6,
        ),
        (
            right,
            "ms a plate, one thread, minimum",
            [one.latency.min_ms for one in outcome.measured],
            outcome.chosen.latency.min_ms,
        ),
    ):
        axes.plot(values, accuracies, color=BLUE, marker=".")
        axes.plot(chosen, percent(outcome.chosen), "D", color=ORANGE, label="chosen")
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    left.set_ylabel("plates read exactly, %")
    left.legend()
    with replacing(picture) as unfinished:
        figure.savefig(unfinished, dpi=120, format=picture.suffix[1:])
