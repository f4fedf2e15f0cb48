"""What is measured of each contestant: its readings, throughput, start, and latency in turns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lprnet.reports.benchmark.costs import Start, Throughput, latencies, on_all_cores, start
from lprnet.reports.benchmark.engines import Contestant
from lprnet.reports.benchmark.results import Proportion
from lprnet.reports.benchmark.variants import Missing
from lprnet.runtime.artifact import verify

WARM_UP = 20
ALONE = 3000
"""Rounds of two artifacts by themselves; seconds."""


@dataclass(frozen=True)
class Measured:
    """Of one contestant."""

    as_name: str
    """Of the contestant that took the measurements: itself, or one whose file has the same bytes.
    """
    texts: tuple[str, ...]
    """What it read of each image."""
    throughput: Throughput
    start: Start
    samples: NDArray[np.float64]
    """Milliseconds a call at batch 1."""


def measure(
    contestants: Sequence[Contestant], images: NDArray[np.uint8], repeats: int
) -> tuple[dict[Contestant, Measured], list[Missing]]:
    """Every contestant on `images` `(N, 24, 94, 3)` uint8 BGR, and those that do not run here.

    Latency is taken on the first image, `repeats` rounds.
    """
    same = measured_for(contestants)
    read: dict[Contestant, tuple[Start, list[str], Throughput]] = {}
    missing = []
    distinct = list(dict.fromkeys(same.values()))
    for contestant in tqdm(distinct, desc="reading", unit="contestant", delay=3):
        try:
            read[contestant] = (start(contestant), *on_all_cores(contestant, images))
        except Exception as error:  # what does not run here is a line of the report
            reason = " ".join(str(error).split())[:200]
            missing.append(Missing(contestant.label, reason))
    samples = latencies(list(read), images[0], repeats, WARM_UP)
    measured = {
        one: Measured(one.name, tuple(texts), throughput, begun, times)
        for (one, (begun, texts, throughput)), times in zip(read.items(), samples, strict=True)
    }
    return {one: measured[same[one]] for one in contestants if same[one] in measured}, missing


def proportion(
    whole: Contestant, pruned: Contestant, image: NDArray[np.uint8], rounds: int = ALONE
) -> Proportion:
    """How the latencies and the arithmetic of two of our artifacts compare on `image`
    `(24, 94, 3)`, uint8 BGR, with nobody else between their turns.
    """
    times = [float(one.min()) for one in latencies([whole, pruned], image, rounds, WARM_UP)]
    macs = [verify(one.file).macs for one in (whole, pruned)]
    return Proportion(whole.name, pruned.name, *macs, *times)


def measured_for(contestants: Sequence[Contestant]) -> dict[Contestant, Contestant]:
    """Each contestant, and the first that runs the same bytes on the same engine: what is measured
    of that one holds for both.
    """
    first: dict[tuple[str, bytes], Contestant] = {}
    return {one: first.setdefault((one.engine, one.file.read_bytes()), one) for one in contestants}
