"""Reads a stream of images, batch after batch: from files, from bytes, or from boxes in pictures.

System calls between decoding make the decoder slower (a fifth on a Zen 3 core), so the files of a
batch are read first, then decoded. Pixels go straight into the batch that the network reads.
"""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.boxes import Box, cut
from lprnet.runtime.image_file import file_content
from lprnet.runtime.image_io import MAX_PIXELS, decode_picture, resize
from lprnet.runtime.reading_columns import Place, ReadingColumns
from lprnet.runtime.reading_output import Reading
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError

PLATES = 1024
"""In memory at once, and in one call of the network and the decoder: what each call costs besides
is little then, above all the search under the grammar, which a twentieth of the plates need."""
WHOLE: tuple[None] = (None,)
"""The boxes of an image that is one plate."""
HELD_BYTES = 8 << 20
"""Of the files of a batch: when there are as many, the batch is read, however few they are."""


class Source(NamedTuple):
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
        self._batch = np.empty((PLATES, *self._format.shape), np.uint8)
        self._filled = 0
        self.network = 0.0
        """Seconds of CPU time that went into the network and the decoding of its logits."""

    def read(self, sources: Iterable[Source]) -> Iterator[Reading]:
        """The reading of each source, of each of its boxes if it has any, in order."""
        for columns in self.columns(sources):
            yield from columns.readings()

    def columns(self, sources: Iterable[Source]) -> Iterator[ReadingColumns]:
        """What `read` yields, as columns, for many sources together."""
        held: list[tuple[Source, bytes | str]] = []
        size = 0
        for source in sources:
            content = self._content(source)
            held.append((source, content))
            size += len(content)
            if len(held) == PLATES or size >= HELD_BYTES:
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
            return file_content(source.name, self._max_pixels)
        except UserError as error:
            return str(error)

    def _readings(self, held: list[tuple[Source, bytes | str]]) -> Iterator[ReadingColumns]:
        files: list[str] = []
        errors: dict[int, str] = {}
        places: list[Place] = []
        for source, content in held:
            picture = self._picture(source.name, content)
            for box in source.boxes or WHOLE:
                error = picture if isinstance(picture, str) else self._add(source, picture, box)
                if error is not None:
                    errors[len(files)] = error
                files.append(source.name)
                places.append(None if box is None else box.numbers)
                if self._filled == len(self._batch):
                    yield self._run(files, errors, places)
                    files, errors, places = [], {}, []
        if files:
            yield self._run(files, errors, places)

    def _picture(self, name: str, content: bytes | str) -> NDArray[np.uint8] | str:
        """The pixels of an image file, or the error."""
        if isinstance(content, str):
            return content
        try:
            return decode_picture(content, f"the image file {name}", self._max_pixels)
        except UserError as error:
            return str(error)

    def _add(self, source: Source, picture: NDArray[np.uint8], box: Box | None) -> str | None:
        """Add a plate of a picture to the batch. Returns the error if that is not possible."""
        try:
            if box is None:
                self._batch[self._filled] = resize(picture, self._format, self._rows)
            else:
                self._batch[self._filled] = cut(picture, box, self._format, self._rows)
        except UserError as error:
            return f"a box in the image file {source.name} {error}"
        self._filled += 1
        return None

    def _run(self, files: list[str], errors: dict[int, str], places: list[Place]) -> ReadingColumns:
        """The plates of `files`, of which the batch has those without an error."""
        began = time.thread_time()
        logits = self._recognizer.logits(self._batch[: self._filled])
        read = self._recognizer.texts(logits, self._top, grammar=self._grammar)
        self._filled = 0
        self.network += time.thread_time() - began
        if errors:
            there = np.ones(len(files), bool)
            there[list(errors)] = False
            read = read._replace(images=np.flatnonzero(there)[read.images])
        return ReadingColumns(files, errors, places, read, self._recognizer.manifest.alphabet)
