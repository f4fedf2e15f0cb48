"""One run of the benchmark, top to bottom: build, make baselines, measure, time the kernels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from os import sched_getaffinity
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibration_files, read_images
from lprnet.compression.variants import prepare
from lprnet.distillation.text_agreement import TextAgreement, compare_texts
from lprnet.measure.timing import Accuracy, record
from lprnet.model.checkpoint import load_model
from lprnet.model.published_lprnet import reads_as_published
from lprnet.reports.benchmark.baselines import OURS, PrunedFiles, baselines
from lprnet.reports.benchmark.costs import installed_bytes, repeatability
from lprnet.reports.benchmark.engines import Entry
from lprnet.reports.benchmark.kernels import time_kernels
from lprnet.reports.benchmark.measure_entries import measure_entries, proportion
from lprnet.reports.benchmark.results import SAMPLES, Line, Report, best, write_bytes
from lprnet.reports.benchmark.row_builds import build_rows
from lprnet.reports.benchmark.variants import (
    BASE,
    EXPORTED,
    PROJECT,
    STRUCTURED,
    STRUCTURED_INT8,
    Missing,
)
from lprnet.reports.peers.entries import peer_entries
from lprnet.reports.peers.environments import installed_bytes as environment_bytes
from lprnet.runtime.decode import Logits, greedy
from lprnet.runtime.image_paths import images_in, label_of
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import why_not_writable
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates

RENDERED = 400
AGREEMENT_PLATES = 1000


@dataclass(frozen=True)
class ReportOptions:
    """What the user asked for."""

    checkpoint: Path
    data: Path | None
    """Images named after their plates; None for rendered ones."""
    peers: str | None
    """`installed`, or `all`: also engines in environments of their own."""
    repeats: int
    work: Path
    """Folder for artifacts and the baselines' files."""


@dataclass(frozen=True)
class LabelledPlates:
    """Images `(N, 24, 94, 3)` uint8 BGR and their texts."""

    images: NDArray[np.uint8]
    labels: tuple[str, ...]
    unseen: tuple[bool, ...]
    """Whether an image was not used for calibration."""
    photo: Path
    """One of the files that they were read from."""


def run_benchmark(request: ReportOptions) -> Report:
    """Measure everything that `request` asks for.

    Raises `UserError` for every user error.
    """
    reason = why_not_writable(request.work)
    if reason:
        raise UserError(f"{request.work} cannot be written ({reason}); choose another --work")
    architecture = load_model(request.checkpoint).architecture
    if not reads_as_published(architecture.image_format, architecture.alphabet):
        raise UserError(
            f"{request.checkpoint} does not read China's plates as 94x24 BGR images, which a "
            "report renders and compares; measure it with lprnet bench and lprnet evaluate"
        )
    target = find_target("native")
    data = request.data or _rendered(request.work / "plates")
    plates = _plates(data)
    # 1. Build every row as a user would; make baselines of the same weights and calibration images.
    artifacts, missing = build_rows(request.checkpoint, data, request.work)
    if not artifacts:
        raise UserError(f"no row of ours could be built; {missing[0].name}: {missing[0].reason}")
    entries = [
        Entry(row.name, "lprnet", artifact, "reduced", OURS) for row, artifact in artifacts.items()
    ]
    unmade: list[Missing] = []
    if request.peers:
        calibration = read_images(calibration_files(data))
        folder = request.work / "baselines"
        pruned = _pruned_files({row.name: artifact for row, artifact in artifacts.items()})
        entries += baselines(request.checkpoint, calibration, target.isa, folder, pruned)
        if request.peers == "all":
            networks = [("reduced", folder / "reduced.onnx")]
            networks += [("pruned", pruned.float32)] if pruned else []
            remote, unmade = peer_entries(networks, folder, request.work / "environments")
            entries += remote
    # 2. Measure accuracy, throughput, cold start, and interleaved latency on one core.
    measured, not_running = measure_entries(entries, plates.images, request.repeats, plates.photo)
    if not any(one.engine == "lprnet" for one in measured):
        raise UserError(f"no row of ours runs; {not_running[0].name}: {not_running[0].reason}")
    agreements = _agreements([one for one in measured if one.engine == "lprnet"])
    pair = [one for one in measured if one.name in (BASE, STRUCTURED)]
    # 3. Time the kernels.
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
                isa=_code(one),
                batch=1,
                accuracy=_accuracy(found.texts, plates.labels),
            ),
            unseen=_accuracy(found.texts, plates.labels, plates.unseen),
            throughput=found.throughput,
            start=found.start,
            file_bytes=sum(file.stat().st_size for file in one.files),
            installed_bytes=installed_bytes(one.distributions)
            if one.python is None
            else environment_bytes(one.python),
            grammar=_accuracy(found.under_grammar, plates.labels, plates.unseen),
            agreement=agreements.get(one),
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
        repeatability=repeatability([found.samples for found in measured.values()]),
        lines=lines,
        missing=tuple(_without_paths(one) for one in (*missing, *unmade, *not_running, *without)),
        sample_reader=first.name,
        sample_texts=tuple(plate.text for plate in greedy(reader(sheet)())),
        kernels=kernels,
        proportion=proportion(pair[0], pair[1], plates.images[0]) if len(pair) == 2 else None,
    )


def _pruned_files(artifacts: Mapping[str, Path]) -> PrunedFiles | None:
    """What the builds of the structured rows exported, where both were built."""
    if not artifacts.keys() >= {STRUCTURED, STRUCTURED_INT8}:
        return None
    files = (artifacts[name].with_name(EXPORTED) for name in (STRUCTURED, STRUCTURED_INT8))
    return PrunedFiles(*files)


def _agreements(ours: Sequence[Entry]) -> dict[Entry, TextAgreement]:
    """Of each of our entries with the base, where that was built."""
    base = next((one for one in ours if one.name == BASE), None)
    if base is None:
        return {}

    def logits(entry: Entry) -> Logits:
        engine = entry.open()
        return lambda images: engine(images)()

    return {one: compare_texts(logits(base), logits(one), AGREEMENT_PLATES) for one in ours}


def _without_paths(missing: Missing) -> Missing:
    """Reports are published, so they name no folder of this machine."""
    return Missing(missing.name, missing.reason.replace(f"{PROJECT}/", ""))


def _rendered(folder: Path) -> Path:
    """Rendered plates as image files, so that they are read like photos."""
    for image, text in sample_plates(RENDERED):
        write_bytes(folder / f"{text}.png", cv2.imencode(".png", image)[1].tobytes())
    return folder


def _plates(data: Path) -> LabelledPlates:
    files = images_in(data)
    calibrated = set(calibration_files(data))
    return LabelledPlates(
        read_images(files),
        tuple(label_of(file) for file in files),
        tuple(file not in calibrated for file in files),
        files[0],
    )


def _code(entry: Entry) -> str:
    """The target whose code this machine runs of our artifact; others do not say theirs."""
    if entry.engine != "lprnet":
        return "its own choice"
    return Recognizer(entry.file).target_version.target


def _accuracy(
    texts: Sequence[str], labels: Sequence[str], counted: Sequence[bool] | None = None
) -> Accuracy:
    """How many texts equal their label; only those with `counted` set, if given."""
    right = [
        text == label
        for text, label, counts in zip(texts, labels, counted or [True] * len(labels), strict=True)
        if counts
    ]
    return Accuracy(sum(right), len(right))
