"""What a plate costs in bulk, part by part: `python -m tests.bulk.cost --artifact FILE IMAGES`.

CPU time of pinned processes, as many as bulk has, each part in all of them at once, so that they
share memory and clock as in bulk: the parts in turns, the least of all rounds, the mean of all
processes; and from it what 10^9 plates take. The rest, which is Python's, is timed with a decoder
and a network that have their answers ready: of two long times the difference would be noise.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast
from unittest.mock import patch

import cv2
import numpy as np

from lprnet.bulk import output
from lprnet.bulk.job_file import Options
from lprnet.bulk.worker_memory import keep_memory
from lprnet.commands.bulk import SHARD_SIZE
from lprnet.runtime.image_io import MAX_PIXELS, read_image
from lprnet.runtime.image_paths import list_images
from lprnet.runtime.recognizer import Recognizer
from lprnet.runtime.source_reader import PLATES, Source, SourceReader

PLATES_IN_ALL = 1_000_000_000
WHOLE = "all, to Parquet"
LONGEST = 600
"""Seconds that a process waits for the others."""


Part = tuple[Callable[[], object], int]
"""What is timed, and how many plates it is for."""


def measured(parts: dict[str, Part], rounds: int, start: Barrier) -> dict[str, float]:
    """Microseconds of CPU time a plate."""
    least = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        for name, (part, count) in parts.items():
            start.wait(LONGEST)
            began = time.process_time()
            part()
            least[name] = min(least[name], (time.process_time() - began) * 1e6 / count)
    return least


def read_file(name: str) -> bytes:
    """The least that reading a file can cost."""
    descriptor = os.open(name, os.O_RDONLY)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


class Found(NamedTuple):
    """What one process measured."""

    cost: dict[str, float]
    """Microseconds of CPU time a plate, by part."""
    read: float
    """Bytes a plate."""
    written: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", metavar="DIR", help="at most 2,000 of its images are read")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument(
        "--processes",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="at once, each on a core",
    )
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    start, found = context.Barrier(options.processes), context.SimpleQueue()
    processes = []
    # The last cores: the first ones have more of the system's work.
    for core in sorted(os.sched_getaffinity(0))[-options.processes :]:
        process = context.Process(
            target=in_process, args=(core, start, found, options), daemon=True
        )
        process.start()
        processes.append(process)
    every: list[Found] = [found.get() for _ in processes]
    for process in processes:
        process.join()
    cost = {name: statistics.mean(one.cost[name] for one in every) for name in every[0].cost}
    report(Found(cost, every[0].read, every[0].written), len(processes))


def report(found: Found, processes: int) -> None:
    print(f"CPU time a plate, {processes} processes at once")
    for name, microseconds in found.cost.items():
        print(f"{name:22} {microseconds:7.1f} us")
    parts = sum(found.cost.values()) - found.cost[WHOLE]
    print(f"{'the sum of the parts':22} {parts:7.1f} us")
    hours = PLATES_IN_ALL * found.cost[WHOLE] / 1e6 / 3600
    print(f"{found.read:.0f} bytes a plate are read, {found.written:.0f} are written")
    print(
        f"10^9 plates: {hours:.0f} core hours, {found.read * PLATES_IN_ALL / 1e12:.1f} TB in, "
        f"{found.written * PLATES_IN_ALL / 1e9:.0f} GB out"
    )


def in_process(
    core: int, start: Barrier, found: "SimpleQueue[Found]", options: argparse.Namespace
) -> None:
    """Measure on one core."""
    os.sched_setaffinity(0, {core})
    cv2.setNumThreads(1)
    keep_memory()  # as workers do
    recognizer = Recognizer(options.artifact)
    shard_files = [str(path) for path in list_images([options.images])[:SHARD_SIZE]]
    files = shard_files[:PLATES]
    contents = [np.frombuffer(read_file(name), np.uint8) for name in files]
    decoded = cv2.imdecode(contents[0], cv2.IMREAD_COLOR)
    every = np.stack(
        [read_image(Path(name), MAX_PIXELS, recognizer.manifest.image) for name in shard_files]
    )
    pixels = every[:PLATES]
    # Some plates take the decoder many times as long as others, so all of a shard are decoded.
    calls = range(0, len(every), PLATES)
    logits = [recognizer.logits(every[first : first + PLATES]) for first in calls]
    texts = {len(some): recognizer.texts(some) for some in logits}
    answers = SimpleNamespace(
        manifest=recognizer.manifest,
        logits=lambda images: images,
        texts=lambda images, *_, **__: texts[len(images)],
    )
    ready = cast(Recognizer, answers)
    form = Options("parquet", 1, None, None, "1", MAX_PIXELS, False)
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "shard"

        def write(reader: SourceReader) -> None:
            output.write(form, reader.columns(map(Source, shard_files)), shard)

        def write_ready(reader: SourceReader) -> None:
            with patch.object(cv2, "imdecode", lambda content, flag: decoded):
                write(reader)

        all_of_them, one_call = len(shard_files), len(files)
        parts: dict[str, Part] = {
            "reading the file": (lambda: [read_file(name) for name in files], one_call),
            "decoding the JPEG": (
                lambda: [cv2.imdecode(content, cv2.IMREAD_COLOR) for content in contents],
                one_call,
            ),
            "the network": (lambda: recognizer.logits(pixels), one_call),
            "text and confidences": (
                lambda: [recognizer.texts(some) for some in logits],
                all_of_them,
            ),
            "all the rest": (
                partial(write_ready, SourceReader(ready)),
                all_of_them,
            ),
            WHOLE: (partial(write, SourceReader(recognizer)), all_of_them),
        }
        cost = measured(parts, options.rounds, start)
        written = shard.stat().st_size / len(shard_files)
    cost["all the rest"] -= cost["reading the file"]
    found.put(Found(cost, sum(map(len, contents)) / len(files), written))


if __name__ == "__main__":
    main()
