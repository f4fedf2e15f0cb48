"""What was read of files, as text, CSV and JSON. A file name may hold any bytes; output is UTF-8.

Text is for people, on one line a plate: control characters and bytes that are not UTF-8 are
escaped. CSV has such bytes escaped and everything else as it is, in quotes where needed. JSON has
U+FFFD for each such byte, and then the whole name in base64 beside it.
"""

import base64
import json
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from lprnet.runtime.decode import Plate
from lprnet.support.file_names import escaped_bytes, printable, utf8

CSV_HEADER = (
    "file",
    "rank",
    "text",
    "confidence",
    "character_confidences",
    "lowest_character_confidence",
)


_NEEDS_QUOTES = re.compile('[,"\n\r]')
SIX_DIGITS = "{:.6f}".format


class Reading(NamedTuple):
    """One file: its plates, best first, or why it could not be read."""

    file: str
    plates: tuple[Plate, ...]
    error: str | None = None
    box: tuple[float, ...] | None = None
    """Where in the file the plate is, as `Box.numbers`; None: the whole image."""
    rejected: bool | None = None
    """Whether its best plate is less sure than was asked for; None: nothing was asked for."""

    def judged(self, least: float) -> "Reading":
        """It, rejected if its best plate has a confidence below `least`."""
        return self._replace(rejected=any(best.confidence < least for best in self.plates[:1]))


def as_text(reading: Reading) -> str:
    """A line a plate: file, with the box if there is one, text, confidence, characters with theirs,
    separated by tabs; and `rejected` where it is.
    """
    place = "" if reading.box is None else f"[{' '.join(map(repr, reading.box))}]"
    lines = []
    for plate in reading.plates:
        characters = " ".join(f"{one.text}:{one.confidence:.3f}" for one in plate.characters)
        file = printable(reading.file) + place
        fields = [file, plate.text, f"{plate.confidence:.3f}", characters]
        if reading.rejected:
            fields.append("rejected")
        lines.append("\t".join(fields) + "\n")
    return "".join(lines)


def csv_header(boxes: bool = False, rejected: bool = False) -> str:
    """The first line of a table; with `boxes` each row has `box` too, with `rejected` that."""
    more = [name for name, there in (("box", boxes), ("rejected", rejected)) if there]
    return ",".join((*CSV_HEADER, *more)) + "\n"


def as_csv(reading: Reading) -> str:
    """A row a plate, as `csv_header` names its fields."""
    file = csv_field(escaped_bytes(reading.file))
    more = csv_more(reading.box, reading.rejected)
    return "".join(
        f"{file},{rank},{csv_field(plate.text)},{plate.confidence:.6f},"
        f"{' '.join(map(SIX_DIGITS, plate.symbol_confidences))},{plate.lowest:.6f}{more}\n"
        for rank, plate in enumerate(reading.plates, 1)
    )


def csv_more(box: tuple[float, ...] | None, rejected: bool | None) -> str:
    """The end of a row: the fields that only some tables have."""
    more = "" if box is None else f",{' '.join(map(repr, box))}"
    return more if rejected is None else f"{more},{str(rejected).lower()}"


def csv_field(text: str) -> str:
    """`text` in quotes where it needs some: RFC 4180, section 2."""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def as_json(artifact: str, readings: Sequence[Reading], *, grammar: bool) -> str:
    """One object: the artifact, whether a grammar was used, and of each file its name, its plates,
    whether they are rejected if that was asked for, and its error.
    """
    images = list(map(_image, readings))
    content = {**named("artifact", artifact), "grammar": grammar, "images": images}
    return utf8(json.dumps(content, ensure_ascii=False))


def _image(reading: Reading) -> dict[str, object]:
    content: dict[str, object] = dict(named("file", reading.file))
    if reading.box is not None:
        content["box"] = list(reading.box)
    content["plates"] = list(map(_plate, reading.plates))
    if reading.rejected is not None:
        content["rejected"] = reading.rejected
    return {**content, "error": reading.error}


def _plate(plate: Plate) -> dict[str, object]:
    return {
        "text": plate.text,
        "confidence": plate.confidence,
        "lowest_character_confidence": plate.lowest,
        "characters": [
            {"text": symbol, "confidence": confidence}
            for symbol, confidence in zip(plate.symbols, plate.symbol_confidences, strict=True)
        ],
    }


def named(key: str, name: str) -> dict[str, str]:
    """The fields of JSON that hold a file name."""
    named = {key: name}
    if name != utf8(name):
        named[f"{key}_base64"] = base64.b64encode(os.fsencode(name)).decode()
    return named
