"""What an entry costs: time, throughput, cold start, memory, installed size."""

import os
import resource
import select
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryFile
from threading import Barrier, BrokenBarrierError, Lock

import numpy as np
from numpy.typing import NDArray
from packaging.requirements import Requirement
from tqdm import tqdm

from lprnet.measure.timing import WARM_UP, interleaved_timings, on_one_core
from lprnet.reports.benchmark.engines import Entry
from lprnet.support.child_command import end_all_commands, ended_commands

BATCHES = (1, 8, 64)
THROUGHPUT_SECONDS = 0.5
STARTS, ENOUGH_SECONDS = 5, 3.0
START_SECONDS = 600.0
"""torch.compile needs a minute; what needs ten hangs."""


@dataclass(frozen=True)
class Throughput:
    """Throughput of all cores, one instance on each."""

    plates_per_second: float
    batch: int
    """The fastest of `BATCHES`."""


def logits_and_throughput(
    entry: Entry, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], Throughput]:
    """The logits `(N, classes, positions)` of `images` `(N, 24, 94, 3)` uint8 BGR, at batch 1, and
    the throughput.
    """
    cores = len(os.sched_getaffinity(0))
    barrier, one_by_one = Barrier(cores), Lock()

    def go_on() -> None:
        if barrier.broken:
            raise BrokenBarrierError

    def core(number: int) -> tuple[list[NDArray[np.float32]], dict[int, float]]:
        with one_by_one:  # torch.compile hangs when two threads compile
            go_on()
            engine = entry.open()
            ready = {b: engine(np.resize(images, (b, *images.shape[1:]))) for b in BATCHES}
            for infer in ready.values():
                infer()
        mine = images[number::cores]
        found = []
        for image in mine:
            go_on()
            found.append(engine(image[None])()[0].copy())
        rates = {}
        for batch, infer in ready.items():
            barrier.wait()
            start, calls = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - start) < THROUGHPUT_SECONDS or not calls:
                infer()
                calls += 1
            rates[batch] = calls * batch / elapsed
        return found, rates

    def guarded(number: int) -> tuple[list[NDArray[np.float32]], dict[int, float]]:
        try:
            return core(number)
        except Exception:
            barrier.abort()  # otherwise the other threads wait for this one for ever
            raise

    with ThreadPoolExecutor(cores) as pool:
        try:
            done = [pool.submit(guarded, number) for number in range(cores)]
            wait(done)
        except BaseException:  # of a signal; the threads are waited for nevertheless
            barrier.abort()
            end_all_commands()
            raise
    errors = [error for one in done if (error := one.exception()) is not None]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, BrokenBarrierError))
    results = [one.result() for one in done]
    logits: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(images)
    for number, (mine, _) in enumerate(results):
        logits[number::cores] = mine
    rates = {batch: sum(rates[batch] for _, rates in results) for batch in BATCHES}
    best = max(rates, key=lambda batch: rates[batch])
    return np.stack(logits), Throughput(rates[best], best)


def latencies(
    entries: Sequence[Entry], image: NDArray[np.uint8], repeats: int
) -> list[NDArray[np.float64]]:
    """Milliseconds of each call of every entry on `image` `(24, 94, 3)` uint8 BGR, interleaved on
    one core.

    Baselines get the image as a normalised float32 tensor, our artifacts as uint8 pixels.
    """
    with on_one_core():
        calls = {str(n): one.open()(image[None]) for n, one in enumerate(entries)}
        rounds = repeats + WARM_UP
        with tqdm(total=rounds, desc="timing", unit="round", delay=3, disable=None) as bar:
            samples = interleaved_timings(calls, repeats, progress=bar.update)
    return list(samples.values())


def repeatability(samples: Sequence[NDArray[np.float64]]) -> float:
    """The largest difference between the minima of the even and the odd rounds of an entry (0.01:
    1 %).

    Both halves time the same code, so smaller differences between entries mean nothing.
    """
    halves = [(float(one[::2].min()), float(one[1::2].min())) for one in samples]
    return max(max(pair) / min(pair) - 1 for pair in halves)


@dataclass(frozen=True)
class ColdStart:
    """Cost of a new process that reads one JPEG."""

    seconds: float
    """From the start of Python to the first text (`peers/first_text.py`), the least of some starts;
    in records before 0.2.0, to the first logits of a blank image, once."""
    resident_bytes: int
    """Memory after the first text."""
    cpu_seconds: float | None = None
    """Time of all cores, of the start with the least; it does not depend on what else runs."""


def cold_start(entry: Entry, image: Path) -> ColdStart:
    """Let new processes read the image file `image` with `entry`, `STARTS` times, or until they
    have taken `ENOUGH_SECONDS`. Their files are in the page cache.

    Raises `RuntimeError`, with the end of what the process printed, if it fails or takes longer
    than `START_SECONDS`.
    """
    starts: list[ColdStart] = []
    while len(starts) < STARTS and sum(one.seconds for one in starts) < ENOUGH_SECONDS:
        starts.append(_start(entry, image))
    return ColdStart(
        min(one.seconds for one in starts),
        min(one.resident_bytes for one in starts),
        min(one.cpu_seconds or 0.0 for one in starts),
    )


def _start(entry: Entry, image: Path) -> ColdStart:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    with TemporaryFile() as errors:  # a full pipe without a reader would block the process
        process = subprocess.Popen(  # asks for its end with this one itself, which takes no time
            entry.start_command(image),
            stdout=subprocess.PIPE,
            stderr=errors,
            env=entry.start_environment(),
        )
        with ended_commands([process]):
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
            line = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            seconds = time.perf_counter() - begin
            if ready:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(START_SECONDS)
        errors.seek(0)
        printed = errors.read().decode(errors="replace").strip()[-2000:]
    if process.returncode != 0:
        raise RuntimeError(f"{entry.name} ({entry.file}) did not start: {printed}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return ColdStart(seconds, int(line.split()[0]), cpu)


def installed_bytes(distributions: Sequence[str]) -> int:
    """Size of the files of `distributions` and of all that they require."""
    waiting, sizes = list(distributions), dict[str, int]()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if name not in sizes:
            paths = (file.locate() for file in found.files or ())
            sizes[name] = sum(os.path.getsize(str(p)) for p in paths if os.path.isfile(str(p)))
            waiting += _required(found.requires or ())
    return sum(sizes.values())


def _required(lines: Sequence[str]) -> list[str]:
    requirements = [Requirement(line) for line in lines]
    return [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
