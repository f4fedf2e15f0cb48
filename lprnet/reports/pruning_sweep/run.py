"""The work of `lprnet sweep`: structured pruning at several budgets, built, read and timed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.complexity import count_macs
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import (
    calibrate,
    calibration_files,
    check_rendered,
    read_images,
    rendered_images,
    with_rendered,
)
from lprnet.compression.compiler_inputs import pruned_network, static_network
from lprnet.compression.distill.distilled import check_cache, check_teachable, distilled
from lprnet.compression.prune.kept_widths import distance, fewer_rows
from lprnet.compression.prune.width_search import (
    LANES,
    Point,
    layer_sensitivity,
    planned_macs,
    smallest_within,
    sweep,
    within,
)
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.distillation.text_agreement import TextAgreement, compare_texts
from lprnet.measure.accuracy import read_labelled
from lprnet.measure.timing import Accuracy, Record, interleaved_timings, on_one_core, record
from lprnet.model.checkpoint import Stated, load_model
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import reads_as_published
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.reports.pruning_sweep.results import MeasuredPoint, SweepResult
from lprnet.runtime.image_paths import images_in, label_of
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.support.scratch_folder import scratch_folder

BUDGETS = (0.8, 0.65, 0.5, 0.45, 0.42, 0.4, 0.38, 0.36)
"""Default budgets: multiply-accumulates as a share of the unpruned network's."""
LATENCY_ROUNDS = 200
AGREEMENT_PLATES = 1000


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
    quantized: bool = False
    """Build static int8 instead of float32."""
    distill: int | None = None
    """Beside each refitted network, one trained for this many steps."""


@subnormals_as_zero()
def run_sweep(request: SweepOptions) -> SweepResult:
    """Measure layer sensitivity, prune to every budget, build and read with each result, then time
    them all.

    Raises `UserError` for a bad checkpoint, image, budget, step or loss, and for `distill` of a
    network that rendered plates cannot teach.
    """
    _check(request)
    paths = images_in(request.data)
    model = load_model(request.checkpoint, request.stated)
    architecture = model.architecture
    alphabet, image_format = architecture.alphabet, architecture.image_format
    labels = [label_of(path, alphabet) for path in paths]
    files = [] if request.calibration is None else calibration_files(request.calibration)
    if not files:
        check_rendered(request.checkpoint, alphabet)
    if request.distill is not None:
        check_teachable(architecture, request.checkpoint)
        check_cache()
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
        readers: list[Recognizer] = []
        sizes: list[int] = []
        read: list[int] = []

        def evaluate(
            network: ReducedNetwork,
            quantized: bool = request.quantized,
            is_trained: bool = False,
        ) -> float:
            calibrated_on = with_rendered(images, files) if is_trained else images
            given = (
                static_network(network, calibrated_on, winograd=is_trained or not files)
                if quantized
                else pruned_network(network)
            )
            if network is not reduced:
                given = replace(given, variant=f"{given.variant}-structured")
            artifact = folder / f"{len(readers)}.so"
            compile_network(given, (target,), source, images, artifact)
            sizes.append(artifact.stat().st_size)
            readers.append(Recognizer(artifact))
            logits = readers[-1].logits
            texts = read_labelled(logits, paths, labels, image_format, alphabet)
            read.append(sum(one.right for one in texts))
            return read[-1] / len(paths)

        points = [Point({}, whole, evaluate(reduced, quantized=False), reduced)]
        if request.quantized:
            points.append(Point({}, whole, evaluate(reduced), reduced))
        candidates = layer_sensitivity(reduced.compact, pixels, request.step)
        refitted = sweep(reduced, pixels, candidates, budgets, evaluate)
        trained: list[Point] = []
        if request.distill is not None:
            fewer = fewer_rows(model)
            if fewer is not None:
                plates = torch.from_numpy(normalise(rendered_images()))
                found = layer_sensitivity(fewer.compact, pixels, request.step)
                cost = partial(planned_macs, fewer.compact, lanes=LANES)
            for point, budget in zip(refitted, budgets, strict=True):
                student, widths = reduced, point.widths
                if fewer is not None:
                    other, cut = within(fewer, pixels, found, budget, cost)
                    far = [distance(one, reduced, plates) for one in (cut, point.network)]
                    if far[0] < far[1]:
                        student, widths = fewer, other
                what = (reduced, student, request.checkpoint, images, widths, request.distill)
                network = student.bind(distilled(*what)[0])
                macs = count_macs(network.module)
                accuracy = evaluate(network, is_trained=True)
                trained.append(Point(widths, macs, accuracy, network))
        points += refitted + trained
        accuracies = [Accuracy(correct, len(paths)) for correct in read]
        latencies = time_readers(readers, accuracies, images[:1])
        teaches = reads_as_published(image_format, alphabet)
        agreements = _agreements(readers) if teaches else [None] * len(readers)
        measured = tuple(
            MeasuredPoint(
                dict(point.widths),
                point.network.architecture != architecture,
                any(point is one for one in trained),
                reader.manifest.macs,
                size,
                latency,
                agreement,
            )
            for point, reader, size, latency, agreement in zip(
                points, readers, sizes, latencies, agreements, strict=True
            )
        )
    all_rows = [point for point in points if point.network.architecture == architecture]
    best = smallest_within(all_rows, points[0].accuracy - request.loss / 100)
    chosen = next(one for one, point in zip(measured, points, strict=True) if point is best)
    return SweepResult(measured, chosen)


def _agreements(readers: Sequence[Recognizer]) -> list[TextAgreement | None]:
    """Of each artifact with the first."""
    whole, *others = (reader.logits for reader in readers)
    return [None, *(compare_texts(whole, one, AGREEMENT_PLATES) for one in others)]


def _check(request: SweepOptions) -> None:
    """Raises `UserError` for values out of range."""
    if request.step < 1 or not 0 <= request.loss <= 100:
        raise UserError("a step must be at least 1 and an accuracy loss between 0 and 100.")
    if not all(0 < budget < math.inf for budget in request.budgets or ()):
        raise UserError("a budget is a positive number of million multiply-accumulates.")


def time_readers(
    readers: Sequence[Recognizer], accuracies: Sequence[Accuracy], image: NDArray[np.uint8]
) -> list[Record]:
    """The latency of each artifact, interleaved, on one thread, through the Python API."""
    calls = {str(number): partial(one.logits, image) for number, one in enumerate(readers)}
    with on_one_core():
        samples = interleaved_timings(calls, LATENCY_ROUNDS)
    return [
        record(
            timed,
            variant=reader.manifest.variant,
            engine="lprnet",
            isa=reader.target_version.target,
            batch=1,
            accuracy=accuracy,
        )
        for reader, timed, accuracy in zip(readers, samples.values(), accuracies, strict=True)
    ]
