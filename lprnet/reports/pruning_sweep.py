"""The work of `lprnet sweep`: structured pruning at several budgets, built, read and timed."""

import math
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
from lprnet.compiler.complexity import count_macs
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import (
    calibrate,
    calibration_files,
    check_rendered,
    read_images,
    rendered_images,
)
from lprnet.compression.compiler_inputs import pruned_network
from lprnet.compression.prune.kept_widths import write_widths
from lprnet.compression.prune.width_search import (
    Point,
    layer_sensitivity,
    smallest_within,
    sweep,
)
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.measure.accuracy import read_labelled
from lprnet.measure.backends import open_backend
from lprnet.measure.timing import Accuracy, Record, interleaved_timings, on_one_core, record
from lprnet.model.checkpoint import Stated, load_model
from lprnet.model.preprocessing import normalise
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.image_paths import images_in, label_of
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.palette import BLUE, VERMILION
from lprnet.support.scratch_folder import scratch_folder

BUDGETS = (0.8, 0.65, 0.5, 0.45, 0.42, 0.4, 0.38, 0.36)
"""Default budgets: multiply-accumulates as a share of the unpruned network's."""
LATENCY_ROUNDS = 200


@dataclass(frozen=True)
class SweepOptions:
    """What the user asked for."""

    checkpoint: Path
    calibration: Path | None
    data: Path
    """Images named after their plates, to measure accuracy; pruning does not use them."""
    budgets: tuple[float, ...] | None
    """Millions of multiply-accumulates; None for `BUDGETS`."""
    step: int
    """Widths are multiples of this."""
    loss: float
    """Most accuracy that pruning may lose, in percentage points."""
    stated: Stated | None = None
    """What is known of the network beside its tensors."""


@dataclass(frozen=True)
class MeasuredPoint:
    """One float32 artifact of the sweep."""

    widths: Mapping[str, int]
    """Channels that stay in each narrowed convolution; empty for the unpruned network."""
    macs: int
    artifact_bytes: int
    latency: Record
    """On one thread at batch 1, interleaved with the others; with the accuracy."""

    @property
    def accuracy(self) -> Accuracy:
        assert self.latency.accuracy is not None
        return self.latency.accuracy


@dataclass(frozen=True)
class SweepResult:
    """The unpruned network, then one a budget, and the chosen one."""

    measured: tuple[MeasuredPoint, ...]
    chosen: MeasuredPoint
    """The one with the fewest multiply-accumulates within the allowed loss."""


@subnormals_as_zero()
def run_sweep(request: SweepOptions) -> SweepResult:
    """Measure layer sensitivity, prune to every budget, build and read with each result, then time
    them all.

    Raises `UserError` for a bad checkpoint, image, budget, step or loss.
    """
    _check(request)
    paths = images_in(request.data)
    model = load_model(request.checkpoint, request.stated)
    alphabet, image_format = model.architecture.alphabet, model.architecture.image_format
    labels = [label_of(path, alphabet) for path in paths]
    files = [] if request.calibration is None else calibration_files(request.calibration)
    if not files:
        check_rendered(request.checkpoint, alphabet)
    images = read_images(files, image_format) if files else rendered_images(image_format)
    calibrate(model, images)
    pixels = torch.from_numpy(normalise(images))
    reduced = reduce(model)
    whole = count_macs(reduced.module)
    budgets = [int(1e6 * budget) for budget in request.budgets or ()]
    budgets = budgets or [int(part * whole) for part in BUDGETS]
    source = Source(request.checkpoint, tuple(file.name for file in files))
    target = find_target("native")
    with scratch_folder() as folder:
        artifacts: list[Path] = []
        read: list[int] = []

        def evaluate(pruned: ReducedNetwork) -> float:
            artifacts.append(folder / f"{len(artifacts)}.so")
            compile_network(pruned_network(pruned), (target,), source, images, artifacts[-1])
            logits = open_backend(artifacts[-1], "tvm")
            texts = read_labelled(logits, paths, labels, image_format, alphabet)
            read.append(sum(one.right for one in texts))
            return read[-1] / len(paths)

        points = [Point({}, whole, evaluate(reduced), reduced)]
        candidates = layer_sensitivity(reduced.compact, pixels, request.step)
        points += sweep(reduced, pixels, candidates, budgets, evaluate)
        accuracies = [Accuracy(correct, len(paths)) for correct in read]
        latencies = time_artifacts(artifacts, accuracies, images[:1])
        sizes = [artifact.stat().st_size for artifact in artifacts]
    measured = tuple(
        MeasuredPoint(dict(point.widths), point.macs, size, latency)
        for point, size, latency in zip(points, sizes, latencies, strict=True)
    )
    best = smallest_within(points, points[0].accuracy - request.loss / 100)
    return SweepResult(measured, measured[points.index(best)])


def _check(request: SweepOptions) -> None:
    """Raises `UserError` for values out of range."""
    if request.step < 1 or not 0 <= request.loss <= 100:
        raise UserError("a step must be at least 1 and an accuracy loss between 0 and 100.")
    if not all(0 < budget < math.inf for budget in request.budgets or ()):
        raise UserError("a budget is a positive number of million multiply-accumulates.")


def time_artifacts(
    artifacts: Sequence[Path], accuracies: Sequence[Accuracy], image: NDArray[np.uint8]
) -> list[Record]:
    """The latency of each artifact, interleaved, on one thread, through the Python API."""
    readers = {str(artifact): Recognizer(artifact) for artifact in artifacts}
    calls = {name: partial(reader.logits, image) for name, reader in readers.items()}
    with on_one_core():
        samples = interleaved_timings(calls, LATENCY_ROUNDS)
    return [
        record(
            samples[name],
            variant="fp32-structured" if number else "fp32",
            engine="lprnet",
            isa=reader.target_version.target,
            batch=1,
            accuracy=accuracies[number],
        )
        for number, (name, reader) in enumerate(readers.items())
    ]


def as_json(result: SweepResult) -> dict[str, object]:
    """All points and the chosen one, as plain JSON values."""

    def point(one: MeasuredPoint) -> dict[str, object]:
        return {**vars(one), "widths": dict(one.widths), "latency": one.latency.as_json()}

    return {
        "points": [point(one) for one in result.measured],
        "chosen": point(result.chosen),
    }


def write_chosen(result: SweepResult, path: Path) -> None:
    """The widths of the chosen network, for `build --widths`. Raises `UserError` where it is the
    unpruned one, and where `path` cannot be written.
    """
    if not result.chosen.widths:
        raise UserError(
            f"{path} was not written, for no pruned network loses as little as asked; allow more "
            "with --loss, or give larger --budgets"
        )
    write_widths(result.chosen.widths, path)


def table(result: SweepResult) -> Table:
    """A table of all points, the chosen one marked."""
    columns = ("MMAC", "correct", "ms", "KiB", "channels that stay")
    rows = Table("", *columns, title="structured pruning")
    for one in result.measured:
        widths = ", ".join(f"{name} {width}" for name, width in sorted(one.widths.items()))
        rows.add_row(
            "chosen" if one == result.chosen else "",
            f"{one.macs / 1e6:.1f}",
            f"{one.accuracy.correct}/{one.accuracy.total}",
            f"{one.latency.min_ms:.3f}",
            f"{one.artifact_bytes / 1024:.0f}",
            widths or "all",
        )
    return rows


def plot_sweep(result: SweepResult, picture: Path) -> None:
    """Accuracy against work and latency, as PNG, SVG or PDF. Raises as `atomic_write` does."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)

    def percent(one: MeasuredPoint) -> float:
        return 100 * one.accuracy.correct / one.accuracy.total

    accuracies = [percent(one) for one in result.measured]
    for axes, label, values, chosen in (
        (
            left,
            "million multiply-accumulates",
            [one.macs / 1e6 for one in result.measured],
            result.chosen.macs / 1e6,
        ),
        (
            right,
            "ms a plate, one thread, minimum",
            [one.latency.min_ms for one in result.measured],
            result.chosen.latency.min_ms,
        ),
    ):
        axes.plot(values, accuracies, color=BLUE, marker=".")
        axes.plot(chosen, percent(result.chosen), "D", color=VERMILION, label="chosen")
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    left.set_ylabel("plates read exactly, %")
    left.legend()
    with atomic_write(picture) as unfinished:
        figure.savefig(unfinished, dpi=120, format=picture.suffix[1:])
