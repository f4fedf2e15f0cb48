"""Measures each entry: what it reads, throughput, cold start and interleaved latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lprnet.reports.benchmark.costs import (
    ColdStart,
    Throughput,
    cold_start,
    latencies,
    logits_and_throughput,
)
from lprnet.reports.benchmark.engines import Entry
from lprnet.reports.benchmark.results import Proportion
from lprnet.reports.benchmark.variants import Missing
from lprnet.runtime.artifact import read_artifact
from lprnet.runtime.decode import decode
from lprnet.support.errors import one_line

PAIR_ROUNDS = 3000
"""Rounds for two artifacts alone; they take some seconds."""


@dataclass(frozen=True)
class EntryMeasurements:
    """What was measured of one entry."""

    as_name: str
    """The entry that was measured: this one, or one whose file has the same bytes."""
    texts: tuple[str, ...]
    """Text read from each image, by the greedy decoder."""
    under_grammar: tuple[str, ...]
    """The same logits, decoded under the grammar of the alphabet."""
    throughput: Throughput
    start: ColdStart
    samples: NDArray[np.float64]
    """Milliseconds of each call at batch 1."""


def measure_entries(
    entries: Sequence[Entry], images: NDArray[np.uint8], repeats: int, photo: Path
) -> tuple[dict[Entry, EntryMeasurements], list[Missing]]:
    """Measure all entries on `images` `(N, 24, 94, 3)` uint8 BGR; also returns those that do not
    run on this machine.

    Latency is measured on the first image, `repeats` rounds; cold starts read the file `photo`.
    """
    same = measured_for(entries)
    read: dict[Entry, tuple[ColdStart, NDArray[np.float32], Throughput]] = {}
    missing = []
    distinct = list(dict.fromkeys(same.values()))
    for entry in tqdm(distinct, desc="reading", unit="entry", delay=3, disable=None):
        try:
            read[entry] = (cold_start(entry, photo), *logits_and_throughput(entry, images))
        except Exception as error:  # an entry that does not run is listed in the report
            missing.append(Missing(entry.label, one_line(error)[:200]))
    samples = latencies(list(read), images[0], repeats)
    measured = {
        one: EntryMeasurements(
            one.name, _texts(logits), _texts(logits, grammar=True), throughput, start, times
        )
        for (one, (start, logits, throughput)), times in zip(read.items(), samples, strict=True)
    }
    return {one: measured[same[one]] for one in entries if same[one] in measured}, missing


def _texts(logits: NDArray[np.float32], *, grammar: bool = False) -> tuple[str, ...]:
    return tuple(plate.text for plate, *_ in decode(logits, grammar=grammar))


def proportion(
    whole: Entry, pruned: Entry, image: NDArray[np.uint8], rounds: int = PAIR_ROUNDS
) -> Proportion:
    """Latency and arithmetic of two of our artifacts, timed interleaved without any other entry on
    `image` `(24, 94, 3)` uint8 BGR.
    """
    times = [float(one.min()) for one in latencies([whole, pruned], image, rounds)]
    macs = [read_artifact(one.file).manifest.macs for one in (whole, pruned)]
    return Proportion(whole.name, pruned.name, *macs, *times)


def measured_for(entries: Sequence[Entry]) -> dict[Entry, Entry]:
    """Each entry, and the first entry that runs the same bytes on the same engine; it is measured
    for both.
    """
    first: dict[tuple[str, bytes], Entry] = {}

    def content(one: Entry) -> bytes:
        return b"".join(file.read_bytes() for file in one.files)

    return {one: first.setdefault((one.engine, content(one)), one) for one in entries}
