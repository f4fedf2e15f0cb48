"""What was read of a batch of files, as columns: no object for each plate.

`Reading` (`reading_output.py`) is the same for one plate.
"""

from typing import NamedTuple

import numpy as np

from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.arrays import NDArray
from lprnet.runtime.decode import plates_of
from lprnet.runtime.reading_output import Reading
from lprnet.runtime.text_columns import TextColumns

Place = tuple[float, ...] | None
"""Where in its file a plate is, as `Box.numbers`; None: the whole image."""


class ReadingColumns(NamedTuple):
    """N plates in order."""

    files: list[str]
    errors: dict[int, str]
    """By the number of the plate, from 0: why it could not be read."""
    places: list[Place]
    read: TextColumns
    """The texts of the plates without an error; `images` are numbers of plates."""
    alphabet: Alphabet

    def rejected(self, least: float) -> NDArray[np.bool_]:
        """`(N,)`: whether the best text of a plate has a confidence below `least`."""
        firsts = self.read.firsts()
        rejected = np.zeros(len(self.files), bool)
        rejected[self.read.images[firsts]] = self.read.confidences[firsts] < least
        return rejected

    def failed(self) -> list[Reading]:
        """The plates that could not be read."""
        return [
            Reading(self.files[plate], (), error, self.places[plate])
            for plate, error in self.errors.items()
        ]

    def readings(self) -> list[Reading]:
        """Each plate as an object."""
        plates = plates_of(self.read, len(self.files), self.alphabet)
        return [
            Reading(file, tuple(plates[plate]), self.errors.get(plate), self.places[plate])
            for plate, file in enumerate(self.files)
        ]
