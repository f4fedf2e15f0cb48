"""Reads a stream of images, batch after batch: from files, from bytes, or from boxes in pictures.

System calls between decoding make the decoder slower (a fifth on a Zen 3 core), so the files of a
batch are read first, then decoded. Pixels go straight into the batch that the network reads.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lprnet.runtime.boxes import Box, cut
from lprnet.runtime.image_file import file_content
from lprnet.runtime.image_io import MAX_PIXELS, decode_picture, resize
from lprnet.runtime.reading_output import Reading
from lprnet.runtime.recognizer import BATCH, Recognizer
from lprnet.support.errors import UserError

HELD_BYTES = 8 << 20
"""Of the files of a batch: when there are as many, the batch is read, however few they are."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image or a picture with plates."""

    name: str
    """What readings call it; without `content` also where its file is."""
    content: bytes | None = None
    """Of the image file."""
    boxes: tuple[Box, ...] = ()
    """Where its plates are; none: the image is one plate."""
    error: str | None = None
    """Why there is no such image, found by who looked for it."""


class SourceReader:
    """Reads images with one recognizer; for one thread."""

    def __init__(
        self,
        recognizer: Recognizer,
        top: int = 1,
        *,
        grammar: bool | None = None,
        max_pixels: int = MAX_PIXELS,
        rows: str = "1",
    ) -> None:
        """At most `top` texts a plate, `grammar` as in `Recognizer.plates`, from pictures of at
        most `max_pixels`, of plates with as many `rows` as `two_rows.ROWS` says.
        """
        self._recognizer, self._top, self._grammar = recognizer, top, grammar
        self._max_pixels, self._rows = max_pixels, rows
        self._format = recognizer.manifest.image
        self._batch = np.empty((BATCH, *self._format.shape), np.uint8)
        self._filled = 0
        self.network = 0.0
        """Seconds of CPU time that went into the network and the decoding of its logits."""

    def read(self, sources: Iterable[Source]) -> Iterator[Reading]:
        """The reading of each source, of each of its boxes if it has any, in order."""
        held: list[tuple[Source, bytes | str]] = []
        size = 0
        for source in sources:
            content = self._content(source)
            held.append((source, content))
            size += len(content)
            if len(held) == BATCH or size >= HELD_BYTES:
                yield from self._readings(held)
                held, size = [], 0
        yield from self._readings(held)

    def _content(self, source: Source) -> bytes | str:
        """The bytes of an image file, or the error."""
        if source.error is not None:
            return source.error
        if source.content is not None:
            return source.content
        try:
            return file_content(Path(source.name), self._max_pixels)
        except UserError as error:
            return str(error)

    def _readings(self, held: list[tuple[Source, bytes | str]]) -> Iterator[Reading]:
        waiting: list[Reading] = []
        for source, content in held:
            for reading in self._fill(source, content):
                waiting.append(reading)
                if self._filled == BATCH:
                    yield from self._run(waiting)
                    waiting = []
        yield from self._run(waiting)

    def _fill(self, source: Source, content: bytes | str) -> Iterator[Reading]:
        """Readings without plates; the pixels of those without an error are in the batch."""
        name = f"the image file {source.name}"
        picture = error = None
        try:
            if isinstance(content, str):
                raise UserError(content)
            picture = decode_picture(content, name, self._max_pixels)
        except UserError as reason:
            error = str(reason)
        for box in source.boxes or (None,):
            wrong = error
            if picture is not None:
                try:
                    self._batch[self._filled] = (
                        cut(picture, box, self._format, self._rows)
                        if box
                        else resize(picture, self._format, self._rows)
                    )
                    self._filled += 1
                except UserError as reason:
                    wrong = f"a box in {name} {reason}"
            yield Reading(source.name, (), wrong, None if box is None else box.numbers)

    def _run(self, waiting: list[Reading]) -> list[Reading]:
        """The readings with their plates."""
        if not self._filled:
            return waiting
        began = time.thread_time()
        logits = self._recognizer.logits(self._batch[: self._filled])
        plates = iter(self._recognizer.plates(logits, self._top, grammar=self._grammar))
        self._filled = 0
        self.network += time.thread_time() - began
        return [
            one if one.error else Reading(one.file, tuple(next(plates)), None, one.box)
            for one in waiting
        ]
