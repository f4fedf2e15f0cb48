"""Read a batch of image files with an artifact and print what they say; a bad file stops nothing.

Like `lprnet/runtime.py` this runs without TVM and torch.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lprnet.backends import Logits, open_backend
from lprnet.decode import Plate, decode
from lprnet.errors import UserError
from lprnet.images import list_images, read_image

BUILDS = Path("build")
PREFERRED = "lprnet-int8-native.so"

ALL_READ, SOME_FAILED, NONE_READ = 0, 1, 2
"""What `recognize` returns, as an exit code."""

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


def read_files(
    logits: Logits, paths: Sequence[Path], top: int = 1, *, grammar: bool = False
) -> Iterator[Reading]:
    """Each of `paths` with its at most `top` plates; an unreadable one has its error instead."""
    for path in paths:
        try:
            (plates,) = decode(logits(read_image(path)[None]), top, grammar)
        except UserError as error:
            yield Reading(str(path), (), str(error))
        else:
            yield Reading(str(path), tuple(plates))


def recognize(
    images: Sequence[str],
    artifact: Path | None = None,
    form: str = "text",
    top: int = 1,
    *,
    grammar: bool = False,
) -> int:
    """Print the plates on `images` (files, directories, patterns) as `text`, `csv` or `json`.

    Text and CSV have a line a plate, written as it is read; JSON is one object at the end. Errors
    and the artifact's name go to stderr. Returns an exit code. Raises `UserError` for an artifact
    that is missing or does not load, a directory or pattern without images, and `top` below 1.
    """
    if top < 1:
        raise UserError(f"--top {top} asks for no plate; give 1 or more")
    paths = list_images(images)
    artifact = artifact or default_artifact()
    logits = open_backend(artifact, "tvm")
    print(f"artifact: {artifact}", file=sys.stderr)
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        table.writerow(CSV_HEADER)
    readings = []
    for reading in read_files(logits, paths, top, grammar=grammar):
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
