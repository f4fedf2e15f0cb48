"""What a plate costs in bulk, part by part: `python -m tests.bulk.cost --artifact FILE IMAGES`.

CPU time of one pinned core, the parts in turns, the least of all rounds; and from it what 10^9
plates take.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lprnet.bulk import output
from lprnet.bulk.job import Options
from lprnet.runtime.image_io import MAX_PIXELS, read_image
from lprnet.runtime.image_paths import list_images
from lprnet.runtime.recognizer import Recognizer
from lprnet.runtime.source_reader import PLATES, Source, SourceReader

PLATES_IN_ALL = 1_000_000_000


def measured(parts: dict[str, Callable[[], object]], count: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU time a plate."""
    least = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        for name, part in parts.items():
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", metavar="DIR", help="at most 256 of its images are read")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    gc.disable()  # as workers do
    recognizer = Recognizer(options.artifact)
    files = [str(path) for path in list_images([options.images])[:PLATES]]
    contents = [np.frombuffer(read_file(name), np.uint8) for name in files]
    pixels = np.stack(
        [read_image(Path(name), MAX_PIXELS, recognizer.manifest.image) for name in files]
    )
    logits = recognizer.logits(pixels)
    reader = SourceReader(recognizer)
    form = Options("parquet", 1, None, None, "1", MAX_PIXELS, False)
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "shard"

        def write() -> None:
            output.write(form, reader.read(map(Source, files)), shard)

        parts = {
            "reading the file": lambda: [read_file(name) for name in files],
            "decoding the JPEG": lambda: [
                cv2.imdecode(content, cv2.IMREAD_COLOR) for content in contents
            ],
            "the network": lambda: recognizer.logits(pixels),
            "text and confidences": lambda: recognizer.plates(logits),
            "all, to Parquet": write,
        }
        cost = measured(parts, len(files), options.rounds)
        written = shard.stat().st_size / len(files)
    *_, whole = cost.values()
    cost["all the rest"] = whole - sum([*cost.values()][:4])
    for name, microseconds in cost.items():
        print(f"{name:22} {microseconds:7.1f} us")
    read = sum(map(len, contents)) / len(files)
    hours = PLATES_IN_ALL * whole / 1e6 / 3600
    print(f"{read:.0f} bytes a plate are read, {written:.0f} are written")
    print(
        f"10^9 plates: {hours:.0f} core hours, {read * PLATES_IN_ALL / 1e12:.1f} TB in, "
        f"{written * PLATES_IN_ALL / 1e9:.0f} GB out"
    )


if __name__ == "__main__":
    main()
