"""Timing, and the one record that every timing leaves a script in.

A machine's speed drifts, so calls that are compared are timed interleaved in one run, and ratios
are of minima or medians of that run. A call would find the caches as the previous one left them: of
forty engines, one that takes 0.07 ms took up to 0.1, other times in each run. So the same call is
made right before, uncounted, and the order is shuffled each round.
"""

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.cpu import cpu_name

WARM_UP = 20
"""Rounds that run before the timed ones and are not counted."""
CALLS_BEFORE = 1
"""Of a candidate, right before each timed one: it finds its weights and its code in the caches, as
in a loop over images."""


class OwnClock(ABC):
    """A call that another process makes and times, so that asking for it does not count."""

    @abstractmethod
    def milliseconds(self) -> float:
        """Make the call; how long it took."""


@dataclass(frozen=True)
class Accuracy:
    """Plates read exactly, of how many."""

    correct: int
    total: int


@dataclass(frozen=True)
class Record:
    """One measurement with everything a reader needs to judge it. Times in milliseconds."""

    variant: str
    engine: str
    """What ran it, for example `lprnet`, `torch`, `ONNX Runtime int8, our graph`."""
    commit: str
    cpu: str
    isa: str
    threads: int
    batch: int
    warm_up: int
    repeats: int
    min_ms: float
    median_ms: float
    p95_ms: float
    accuracy: Accuracy | None
    calls_before: int = 0
    """Uncounted calls of the same candidate right before each counted one; there were none in
    records that do not say it."""

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)


def commit() -> str:
    """The checkout's commit, `+changes` if files differ from it, `unknown` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        head, status = (
            subprocess.run(
                ["git", "-C", root, *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (
                ("rev-parse", "--short", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if status else head


def interleaved_timings(
    candidates: Mapping[str, Callable[[], object]],
    repeats: int,
    warm_up: int = WARM_UP,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of each call of each of `candidates`, one timed call a round, `(repeats,)` each.

    `CALLS_BEFORE` calls are made before it. The order is shuffled each round, the same way in every
    run. The first `warm_up` rounds are not counted; `progress` is called once a round.
    """
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    order, shuffle = list(candidates), Random(0).shuffle
    for turn in range(warm_up + repeats):
        shuffle(order)
        for name in order:
            for _ in range(CALLS_BEFORE):
                _milliseconds(candidates[name])
            elapsed = _milliseconds(candidates[name])
            if turn >= warm_up:
                samples[name].append(elapsed)
        progress()
    return {name: np.array(values) for name, values in samples.items()}


def _milliseconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    if isinstance(call, OwnClock):
        return call.milliseconds()
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def record(
    samples: NDArray[np.float64],
    *,
    variant: str,
    engine: str,
    isa: str,
    batch: int,
    warm_up: int = WARM_UP,
    threads: int = 1,
    accuracy: Accuracy | None = None,
    calls_before: int = CALLS_BEFORE,
) -> Record:
    """The record of `samples`, milliseconds a call of `batch` images."""
    return Record(
        variant=variant,
        engine=engine,
        commit=commit(),
        cpu=cpu_name(),
        isa=isa,
        threads=threads,
        batch=batch,
        warm_up=warm_up,
        repeats=len(samples),
        min_ms=float(samples.min()),
        median_ms=float(np.median(samples)),
        p95_ms=float(np.percentile(samples, 95)),
        accuracy=accuracy,
        calls_before=calls_before,
    )


@contextmanager
def on_one_core() -> Iterator[int]:
    """Pin this thread, and those it starts, to the last core it may use; yields its number."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield max(cores)
    finally:
        os.sched_setaffinity(0, cores)
