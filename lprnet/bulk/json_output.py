"""A shard's plates as lines of JSON: objects as in the list of `recognize --json`."""

import json
from collections.abc import Iterator

from lprnet.runtime.ctc import Floats
from lprnet.runtime.reading_columns import ReadingColumns
from lprnet.runtime.reading_output import named
from lprnet.support.file_names import utf8

ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def json_lines(columns: ReadingColumns, least: float | None) -> Iterator[str]:
    """A line for each plate that was read; `least` as in `Options.min_confidence`."""
    texts = _texts(columns)
    rejected = None if least is None else columns.rejected(least).tolist()
    for plate, file in enumerate(columns.files):
        if plate in columns.errors:
            continue
        fields = ENCODE(named("file", file))[1:-1]
        place = columns.places[plate]
        if place is not None:
            fields += f', "box": {ENCODE(list(place))}'
        fields += f', "plates": [{", ".join(texts[plate])}]'
        if rejected is not None:
            fields += f', "rejected": {ENCODE(rejected[plate])}'
        yield utf8(f'{{{fields}, "error": null}}') + "\n"


def _texts(columns: ReadingColumns) -> list[list[str]]:
    """For each plate its texts as objects of JSON."""
    read = columns.read
    begin = [
        f'{{"text": {ENCODE(symbol)}, "confidence": ' for symbol in columns.alphabet.characters
    ]
    peaks = _numbers(read.peaks)
    characters = [
        f"{begin[label]}{peak}}}"
        for label, peak in zip(read.texts.labels.tolist(), peaks, strict=True)
    ]
    texts: list[list[str]] = [[] for _ in columns.files]
    for plate, text, confidence, lowest, of_text in zip(
        read.images.tolist(),
        map(ENCODE, read.texts.spelled(columns.alphabet.characters)),
        _numbers(read.confidences),
        _numbers(read.texts.lowest(read.peaks)),
        read.texts.split(characters),
        strict=True,
    ):
        texts[plate].append(
            f'{{"text": {text}, "confidence": {confidence}, "lowest_character_confidence": '
            f'{lowest}, "characters": [{", ".join(of_text)}]}}'
        )
    return texts


def _numbers(values: Floats) -> list[str]:
    """Each number as JSON has it."""
    return ENCODE(values.tolist())[1:-1].split(", ") if len(values) else []
