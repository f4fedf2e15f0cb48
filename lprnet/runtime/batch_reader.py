"""Read a batch of image files with an artifact and print what they say; a bad file stops nothing.

Like `lprnet/runtime/recognizer.py` this runs without TVM, torch and tqdm.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lprnet.runtime.boxes_file import read_boxes
from lprnet.runtime.decode import uses_grammar
from lprnet.runtime.files_left_out import report_files_left_out
from lprnet.runtime.image_io import MAX_PIXELS
from lprnet.runtime.image_paths import list_images
from lprnet.runtime.progress_line import ProgressLine
from lprnet.runtime.reading_output import Reading, as_csv, as_json, as_text, csv_header
from lprnet.runtime.recognizer import Recognizer
from lprnet.runtime.source_reader import Source, SourceReader
from lprnet.support.errors import UserError
from lprnet.support.file_names import printable
from lprnet.support.model_file import ModelFile

BUILDS = Path("build")
PREFERRED = "lprnet-int8-native.so"

ALL_READ, SOME_FAILED, NONE_READ = 0, 1, 2
"""What `recognize` returns, as an exit code."""

CHUNK = 64
"""Images a thread reads before it runs them: Python's share of each becomes small."""


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
            f"there is no artifact in {directory}/; make one with lprnet build, or name one "
            "with --artifact"
        )
    return artifacts[-1]


def read_sources(
    recognizer: Recognizer,
    sources: Sequence[Source],
    progress: ProgressLine,
    top: int = 1,
    *,
    grammar: bool | None = None,
    max_pixels: int = MAX_PIXELS,
    rows: str = "1",
) -> Iterator[Reading]:
    """Each plate of `sources` in order with its at most `top` texts; one that cannot be read has
    its error.

    All cores share the work, a chunk of images a thread at a time.
    """

    def read(chunk: Sequence[Source]) -> tuple[list[Reading], float]:
        began = time.thread_time()
        reader = SourceReader(recognizer, top, grammar=grammar, max_pixels=max_pixels, rows=rows)
        readings = list(reader.read(chunk))
        return readings, time.thread_time() - began - reader.network

    chunks = [sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK)]
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
    grammar: bool | None = None,
    min_confidence: float | None = None,
    max_pixels: int = MAX_PIXELS,
    boxes: Path | None = None,
    rows: str = "1",
) -> int:
    """Print the plates on `images` (files, directories, patterns), or in the `boxes` of a file that
    `read_boxes` takes, as `text`, `csv` or `json`.

    `grammar` is as in `Recognizer.plates`; an image whose best plate has less than `min_confidence`
    is printed as rejected; `rows` is one of `two_rows.ROWS`. Text and CSV have a line a plate,
    written as it is read; JSON is one object at the end. Errors, progress, the artifact's name and
    files left out go to stderr. Returns an exit code. Raises `UserError` for an artifact that is
    missing or does not load, a grammar that it lacks, a directory or pattern without images, and
    numbers that mean nothing.
    """
    if top < 1:
        raise UserError(f"--top {top} asks for no plate; give 1 or more")
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise UserError(f"--min-confidence {min_confidence} is no confidence; give 0 to 1")
    if max_pixels < 1:
        raise UserError(f"--max-pixels {max_pixels} allows no image; give 1 or more")
    if boxes is None:
        sources = [Source(str(path)) for path in list_images(images)]
    else:
        sources = [Source(file, boxes=found) for file, found in read_boxes(boxes)]
        if not sources:
            raise UserError(f"{boxes} has no box; give a row for each plate")
    artifact = artifact or default_artifact()
    if ModelFile.of(artifact) is not ModelFile.ARTIFACT:
        raise UserError(f"{artifact} is no artifact (.so); build one with lprnet build")
    reader = Recognizer(artifact)
    grammar = uses_grammar(reader.manifest.alphabet, grammar)
    print(f"artifact: {printable(str(artifact))}", file=sys.stderr)
    if form == "csv":
        print(csv_header(boxes is not None, min_confidence is not None), end="")
    readings = []
    progress = ProgressLine(sum(len(source.boxes) or 1 for source in sources))
    for reading in read_sources(
        reader, sources, progress, top, grammar=grammar, max_pixels=max_pixels, rows=rows
    ):
        if min_confidence is not None:
            reading = reading.judged(min_confidence)
        readings.append(reading)
        if reading.error or form != "json":
            progress.clear()
        if reading.error:
            print("error:", printable(reading.error), file=sys.stderr)
        if form == "csv":
            print(as_csv(reading), end="")
        elif form == "text":
            print(as_text(reading), end="")
    if form == "json":
        print(as_json(str(artifact), readings, grammar=grammar))
    report_files_left_out(images)
    failed = sum(reading.error is not None for reading in readings)
    if failed == len(readings):
        return NONE_READ
    return SOME_FAILED if failed or any(one.rejected for one in readings) else ALL_READ
