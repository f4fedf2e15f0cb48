"""Rendered plates on disk, so that a run renders each of them once: one memory-mapped file.

A plate is a function of its number, so whatever is missing is rendered when it is asked for, and
nothing is lost by a kill. Several processes may share a file: where two render the same plate, they
write the same bytes.
"""

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.support.atomic_file import made_folder
from lprnet.support.errors import UserError
from lprnet.synthetic.render import render
from lprnet.synthetic.version import renderer_version

Pixels = NDArray[np.uint8]

RECORD = np.dtype([("check", "<u4"), ("text", "S32"), ("pixels", "u1", (24, 94, 3))])
"""`check` is the CRC-32 of the rest; of a record that was never written it is wrong."""


@dataclass(frozen=True)
class RenderedPlates:
    """Plates by number: plate `i` of `seed`, with a difficulty of its own."""

    seed: int
    easiest: float = 0.1
    hardest: float = 2.6
    """Each plate draws its difficulty evenly from in between."""
    easy_plates: int = 0
    """The hardest difficulty rises from nearly the easiest over this many plates: CTC leaves its
    all-blank start only on readable plates."""

    def plate(self, index: int) -> tuple[Pixels, str]:
        """The image `(24, 94, 3)` uint8 BGR and its text."""
        return render(self.seed, index, self.difficulty(index))

    def difficulty(self, index: int) -> float:
        """That of plate `index`."""
        part = min(1.0, (index + 1) / self.easy_plates) if self.easy_plates else 1.0
        ceiling = self.easiest + max(0.1, part) * (self.hardest - self.easiest)
        rng = np.random.default_rng((self.seed, index, 1))
        return float(rng.uniform(self.easiest, ceiling))

    def version(self) -> str:
        """A name for these very plates: it changes with the renderer and with any field."""
        return sha256(f"{renderer_version()} {self}".encode()).hexdigest()[:16]


class PlateCache:
    """The plates 0 to `capacity - 1` of `source`, in a file of `folder` with their version's name.

    The file has its full size on disk from the start, so a disk that is too small is noticed then.
    Other versions' files in the folder are removed. Raises `UserError` where the file cannot be
    written.
    """

    def __init__(self, folder: Path, source: RenderedPlates, capacity: int) -> None:
        self.folder, self.source = folder, source
        self.path = folder / f"plates-{source.version()}.bin"
        try:
            with made_folder(folder):
                for other in folder.glob("plates-*.bin"):
                    if other != self.path:
                        other.unlink(missing_ok=True)
                self._records = _mapped(self.path, capacity)
        except OSError as error:
            size = capacity * RECORD.itemsize / 2**20
            raise UserError(
                f"{self.path}: there is no room for {capacity:,} rendered plates, {size:,.0f} MiB "
                f"({error.strerror or error}); make room or choose another folder"
            ) from error

    def __reduce__(self) -> tuple[type, tuple[Path, RenderedPlates, int]]:
        # Another process opens the file itself; its content is not sent there.
        return PlateCache, (self.folder, self.source, len(self))

    def __len__(self) -> int:
        return len(self._records)

    def read(self, indices: Sequence[int] | NDArray[np.int64]) -> tuple[Pixels, list[str]]:
        """The images `(N, 24, 94, 3)` uint8 BGR and texts of these plates, rendered where they are
        not there yet.
        """
        images = np.empty((len(indices), *RECORD["pixels"].shape), np.uint8)
        texts = []
        for place, index in enumerate(indices):
            record = self._records[index].copy()  # another process may be writing it
            if record["check"] != _check(record):
                record = self._render(int(index))
            images[place] = record["pixels"]
            texts.append(bytes(record["text"]).decode())
        return images, texts

    def _render(self, index: int) -> np.void:
        image, text = self.source.plate(index)
        record = np.zeros(1, RECORD)
        record["text"], record["pixels"] = text.encode(), image
        record["check"] = _check(record[0])
        self._records[index] = record[0]
        written: np.void = record[0]
        return written


def _check(record: np.void) -> int:
    return zlib.crc32(record.tobytes()[RECORD["check"].itemsize :])


def _mapped(path: Path, capacity: int) -> NDArray[np.void]:
    """The file's records, at least `capacity` of them; it grows where it has fewer. A new file for
    which there is no room goes again.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        there = os.fstat(file).st_size // RECORD.itemsize
        if there < capacity:
            os.posix_fallocate(file, 0, capacity * RECORD.itemsize)
    except OSError:
        if not there:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    return np.memmap(path, RECORD, "r+", shape=(max(there, capacity),))
