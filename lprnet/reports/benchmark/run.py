"""One run, top to bottom: build, gather rivals, read, time, start, look into the kernels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from os import sched_getaffinity
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.build import prepare
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibration_files, read_images
from lprnet.measure.timing import Accuracy, record
from lprnet.reports.benchmark.baselines import OURS, rivals
from lprnet.reports.benchmark.costs import installed_bytes, noise
from lprnet.reports.benchmark.engines import Contestant
from lprnet.reports.benchmark.kernels import time_kernels
from lprnet.reports.benchmark.measure import WARM_UP, measure, proportion
from lprnet.reports.benchmark.results import SAMPLES, Line, Report, best
from lprnet.reports.benchmark.variants import BASE, PROJECT, STRUCTURED, Missing, build_rows
from lprnet.runtime.decode import greedy
from lprnet.runtime.image_io import label_of, list_images
from lprnet.synthetic.render import sample_plates

RENDERED = 400


@dataclass(frozen=True)
class ReportOptions:
    """What the user asked for."""

    checkpoint: Path
    data: Path | None
    """Images named after their plates; None for rendered ones."""
    peers: bool
    repeats: int
    work: Path
    """Where artifacts and the rivals' files go."""


@dataclass(frozen=True)
class Plates:
    """What is read: images `(N, 24, 94, 3)` uint8 BGR and their texts."""

    images: NDArray[np.uint8]
    labels: tuple[str, ...]
    unseen: tuple[bool, ...]
    """Whether an image is none of those that constants were calibrated on."""


def run(request: ReportOptions) -> Report:
    """Measure everything.

    Raises `UserError` for anything that the user can mend.
    """
    target = find_target("native")
    data = request.data or _rendered(request.work / "plates")
    plates = _plates(data)
    # 1. Every row as a user builds it; every rival from the same weights and calibration images.
    artifacts, missing = build_rows(request.checkpoint, data, request.work)
    contestants = [
        Contestant(row.name, "lprnet", artifact, "reduced", OURS)
        for row, artifact in artifacts.items()
    ]
    if request.peers:
        calibration = read_images(calibration_files(data))
        folder = request.work / "rivals"
        contestants += rivals(request.checkpoint, calibration, target.isa, folder)
    # 2. What each reads, how many plates a second, how soon, and how fast in turns on one core.
    measured, not_running = measure(contestants, plates.images, request.repeats)
    pair = [one for one in measured if one.name in (BASE, STRUCTURED)]
    # 3. The kernels.
    network, _, _ = prepare(request.checkpoint, data, None)
    kernels, without = time_kernels(network, target)
    lines = tuple(
        Line(
            name=one.name,
            ours=one.engine == "lprnet",
            graph=one.graph,
            latency=record(
                found.samples,
                variant=one.file.stem,
                engine=one.engine,
                isa=target.name,
                batch=1,
                warm_up=WARM_UP,
                accuracy=_accuracy(found.texts, plates.labels),
            ),
            unseen=_accuracy(found.texts, plates.labels, plates.unseen),
            throughput=found.throughput,
            start=found.start,
            file_bytes=one.file.stat().st_size,
            installed_bytes=installed_bytes(one.distributions),
            same_as="" if found.as_name == one.name else found.as_name,
        )
        for one, found in measured.items()
    )
    first = best(lines)
    sheet = np.stack([image for image, _ in sample_plates(SAMPLES)])
    reader = list(measured)[lines.index(first)].open()
    return Report(
        date=date.today().isoformat(),
        cores=len(sched_getaffinity(0)),
        checkpoint=request.checkpoint.name,
        data=f"{len(plates.labels)} {'images' if request.data else 'rendered plates'}",
        noise=noise([found.samples for found in measured.values()]),
        lines=lines,
        missing=tuple(_without_paths(one) for one in (*missing, *not_running, *without)),
        sample_reader=first.name,
        sample_texts=tuple(plate.text for plate in greedy(reader(sheet)())),
        kernels=kernels,
        proportion=proportion(pair[0], pair[1], plates.images[0]) if len(pair) == 2 else None,
    )


def _without_paths(missing: Missing) -> Missing:
    """A report is to be shown around: it names no folder of this machine."""
    return Missing(missing.name, missing.reason.replace(f"{PROJECT}/", ""))


def _rendered(folder: Path) -> Path:
    """Rendered plates as files, so that they take the way of photos."""
    folder.mkdir(parents=True, exist_ok=True)
    for image, text in sample_plates(RENDERED):
        (folder / f"{text}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return folder


def _plates(data: Path) -> Plates:
    files = list_images([str(data)])
    calibrated = set(calibration_files(data))
    return Plates(
        read_images(files),
        tuple(label_of(file) for file in files),
        tuple(file not in calibrated for file in files),
    )


def _accuracy(
    texts: Sequence[str], labels: Sequence[str], counted: Sequence[bool] | None = None
) -> Accuracy:
    """How many of the `counted` texts equal their label."""
    right = [
        text == label
        for text, label, counts in zip(texts, labels, counted or [True] * len(labels), strict=True)
        if counts
    ]
    return Accuracy(sum(right), len(right))
