"""Read a batch of image files with an artifact and print what they say; a bad file stops nothing.

Like `lprnet/runtime/recognizer.py` this runs without TVM, torch and tqdm.
"""

import csv
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lprnet.runtime.decode import Plate, decode
from lprnet.runtime.files_left_out import report_files_left_out
from lprnet.runtime.image_io import MAX_PIXELS, list_images, read_image
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError

BUILDS = Path("build")
PREFERRED = "lprnet-int8-native.so"

ALL_READ, SOME_FAILED, NONE_READ = 0, 1, 2
"""What `recognize` returns, as an exit code."""

CHUNK = 32
"""Images a thread reads before it runs them: Python's share of each becomes small."""
PROGRESS_SECONDS, REFRESH_SECONDS = 3.0, 0.2
"""Shorter runs show no progress."""

CSV_HEADER = ("file", "rank", "text", "confidence", "character_confidences")


@dataclass(frozen=True)
class Reading:
    """One file: its plates, best first, or why it could not be read."""

    file: str
    plates: tuple[Plate, ...]
    error: str | None = None


def default_artifact(directory: Path = BUILDS) -> Path:
    """The int8 artifact for this CPU if `directory` has it, otherwise the newest there is.

    Raises `UserError` if there is none.
    """
    preferred = directory / PREFERRED
    if preferred.is_file():
        return preferred
    artifacts = sorted(directory.glob("*.so"), key=lambda path: path.stat().st_mtime)
    if not artifacts:
        raise UserError(
            f"there is no artifact in {directory}/; make one with scripts/build.py, or name one "
            "with --artifact"
        )
    return artifacts[-1]


class _Progress:
    """How far a long run is, on a line of stderr that rewrites itself, and its sum at the end."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self.decoding = 0.0
        """Seconds of CPU time that threads spent on reading, decoding and resizing files."""
        self.start = self.shown = time.perf_counter()
        self.processor = time.process_time()

    def step(self) -> None:
        """One more image is done."""
        self.count += 1
        now = time.perf_counter()
        late = now - self.start > PROGRESS_SECONDS and now - self.shown > REFRESH_SECONDS
        if late and sys.stderr.isatty():
            self.shown = now
            rate = self.count / (now - self.start)
            line = f"{self.count:,} of {self.total:,} images, {rate:,.0f} a second"
            # The cursor goes back: whatever is printed next overwrites this.
            print(line, end="\r", file=sys.stderr, flush=True)

    def end(self) -> None:
        """What a long run came to."""
        seconds = time.perf_counter() - self.start
        if seconds > PROGRESS_SECONDS:
            share = self.decoding / (time.process_time() - self.processor)
            print(
                f"{self.count:,} images in {seconds:.1f} s, {self.count / seconds:,.0f} a second; "
                f"{share:.0%} of the processor time went into reading, decoding and resizing files",
                file=sys.stderr,
            )


def read_files(
    reader: Recognizer,
    paths: Sequence[Path],
    top: int = 1,
    *,
    grammar: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Reading]:
    """Each of `paths` in order with its at most `top` plates; an unreadable one has its error.

    All cores share the work, a chunk of images a thread at a time.
    """
    progress = _Progress(len(paths))

    def read(chunk: Sequence[Path]) -> tuple[list[Reading], float]:
        began = time.thread_time()
        pixels, errors = {}, {}
        for path in chunk:
            try:
                pixels[path] = read_image(path, max_pixels)
            except UserError as error:
                errors[path] = str(error)
        decoding = time.thread_time() - began
        plates = dict[Path, list[Plate]]()
        if pixels:
            images = np.stack(list(pixels.values()))
            plates = dict(zip(pixels, decode(reader.logits(images), top, grammar), strict=True))
        readings = [
            Reading(str(path), tuple(plates.get(path, ())), errors.get(path)) for path in chunk
        ]
        return readings, decoding

    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for readings, decoding in pool.map(read, chunks):
                progress.decoding += decoding
                for reading in readings:
                    progress.step()
                    yield reading
        finally:
            pool.shutdown(cancel_futures=True)
    progress.end()


def recognize(
    images: Sequence[str],
    artifact: Path | None = None,
    form: str = "text",
    top: int = 1,
    *,
    grammar: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> int:
    """Print the plates on `images` (files, directories, patterns) as `text`, `csv` or `json`.

    Text and CSV have a line a plate, written as it is read; JSON is one object at the end. Errors,
    progress, the artifact's name and files left out go to stderr. Returns an exit code. Raises
    `UserError` for an artifact that is missing or does not load, a directory or pattern without
    images, and `top` or `max_pixels` below 1.
    """
    if top < 1:
        raise UserError(f"--top {top} asks for no plate; give 1 or more")
    if max_pixels < 1:
        raise UserError(f"--max-pixels {max_pixels} allows no image; give 1 or more")
    paths = list_images(images)
    artifact = artifact or default_artifact()
    if artifact.suffix != ".so":
        raise UserError(f"{artifact} is no artifact (.so); build one with scripts/build.py")
    reader = Recognizer(artifact)
    print(f"artifact: {artifact}", file=sys.stderr)
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        table.writerow(CSV_HEADER)
    readings = []
    for reading in read_files(reader, paths, top, grammar=grammar, max_pixels=max_pixels):
        readings.append(reading)
        if reading.error:
            print("error:", reading.error, file=sys.stderr)
        if form == "csv":
            table.writerows(_rows(reading))
        elif form == "text":
            print(*_lines(reading), sep="", end="")
    if form == "json":
        content = {"artifact": str(artifact), "images": [asdict(reading) for reading in readings]}
        print(json.dumps(content, ensure_ascii=False))
    report_files_left_out(images)
    failed = sum(reading.error is not None for reading in readings)
    return NONE_READ if failed == len(readings) else SOME_FAILED if failed else ALL_READ


def _lines(reading: Reading) -> Iterator[str]:
    for plate in reading.plates:
        characters = " ".join(f"{one.text}:{one.confidence:.3f}" for one in plate.characters)
        yield f"{reading.file}\t{plate.text}\t{plate.confidence:.3f}\t{characters}\n"


def _rows(reading: Reading) -> Iterator[tuple[str, int, str, str, str]]:
    for rank, plate in enumerate(reading.plates, 1):
        characters = " ".join(f"{one.confidence:.6f}" for one in plate.characters)
        yield reading.file, rank, plate.text, f"{plate.confidence:.6f}", characters
