"""How often a smaller network reads what the network that it was made from reads.

On fresh rendered plates, for photographs flatter pruning: refits follow the images that they are
made on. The texts are greedy ones.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.decode import Logits, greedy
from lprnet.synthetic.render import render

SEED = 55_000_009
"""Never a training seed."""
MIN_DIFFICULTY, MAX_DIFFICULTY = 0.1, 1.0
"""Each plate draws its difficulty evenly from in between."""
BATCH = 50


@dataclass(frozen=True)
class TextAgreement:
    """Counts of plates."""

    plates: int
    same: int
    """Both networks read the same text."""
    right: int
    """The original network reads the true text."""
    kept: int
    """And so does the smaller one."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for counts that no plates come to."""
        if self.plates < 1 or max(self.same, self.right) > self.plates:
            raise ValueError(f"{self.same} and {self.right} are no counts of {self.plates} plates")

    def __str__(self) -> str:
        return (
            f"{self.same / self.plates:.1%} of {self.plates:,} rendered plates, "
            f"{self.kept / max(self.right, 1):.1%} of the {self.right:,} that it reads right"
        )


@lru_cache(maxsize=1)  # a report compares many networks on the same plates
def fresh_plates(count: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The first `count` plates of the measure, `(N, 24, 94, 3)` uint8 BGR, and their texts."""
    difficulties = (
        np.random.default_rng((SEED, index)).uniform(MIN_DIFFICULTY, MAX_DIFFICULTY)
        for index in range(count)
    )
    plates = [render(SEED, index, float(one)) for index, one in enumerate(difficulties)]
    return np.stack([image for image, _ in plates]), tuple(text for _, text in plates)


def compare_texts(original: Logits, smaller: Logits, count: int) -> TextAgreement:
    """How `smaller` agrees with `original` on `count` fresh plates; both read China's."""
    images, texts = fresh_plates(count)
    expected, found = _read(original, images), _read(smaller, images)
    right = [one == text for one, text in zip(expected, texts, strict=True)]
    same = [one == other for one, other in zip(expected, found, strict=True)]
    kept = [one and other for one, other in zip(right, same, strict=True)]
    return TextAgreement(count, sum(same), sum(right), sum(kept))


def _read(logits: Logits, images: NDArray[np.uint8]) -> list[str]:
    batches = np.split(images, range(BATCH, len(images), BATCH))
    return [plate.text for batch in batches for plate in greedy(logits(batch))]
