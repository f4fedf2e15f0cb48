"""Batches for training: rendered plates, and a user's labelled and unlabelled images mixed in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lprnet.distillation.plate_cache import PlateCache
from lprnet.distillation.step_loader import items_of_steps
from lprnet.runtime.alphabet import Alphabet
from lprnet.training.labelled_images import LabelledImages

Pixels = NDArray[np.uint8]

USES = 4
"""How often a rendered plate is used on average; augmentation makes another image of it each time.
"""
SHARE = 4
"""Of a batch with images of the user beside others, one in `SHARE` is one of them."""


@dataclass(frozen=True)
class Batch:
    """`images (N, H, W, C)` uint8; the first `len(lengths)` of them have labels, `targets (sum of
    lengths,)` int64.
    """

    images: Tensor
    targets: Tensor
    lengths: Tensor


def collate(images: Pixels, texts: list[str], alphabet: Alphabet) -> Batch:
    """Labels concatenated for CTC; where there are fewer than images, the last ones have none."""
    labels = [alphabet.encode(text) for text in texts]
    targets = torch.tensor([one for label in labels for one in label], dtype=torch.int64)
    lengths = torch.tensor([len(label) for label in labels], dtype=torch.int64)
    return Batch(torch.from_numpy(images), targets, lengths)


def fresh_plates(batch: int) -> int:
    """How many plates a step adds to those that are drawn from, at a batch of rendered ones."""
    return -(-batch // USES)


class Feed(Dataset[Batch]):
    """Item `step` is the batch of that step: a function of the seed and the step alone, so a
    resumed run goes on with the batches that an uninterrupted one would have seen.

    Where there are rendered plates, each step adds some to those that it draws from, in order, as
    long as the cache has room. At least one of `cache` and `labelled` is given.
    """

    def __init__(
        self,
        seed: int,
        batch: int,
        alphabet: Alphabet,
        cache: PlateCache | None,
        labelled: LabelledImages | None,
        unlabelled: Pixels | None,
    ) -> None:
        self.seed, self.batch, self.alphabet = seed, batch, alphabet
        self.cache, self.labelled, self.unlabelled = cache, labelled, unlabelled

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step, 2))
        part = self.batch // SHARE
        without = 0 if self.unlabelled is None else part
        own = 0 if self.labelled is None else part
        if self.cache is None:
            own = self.batch - without
        images: list[Pixels] = []
        texts: list[str] = []
        if self.cache is not None:
            plates, texts = self.cache.read(self._drawn(rng, step, self.batch - own - without))
            images.append(plates)
        if self.labelled is not None:
            chosen = rng.integers(len(self.labelled.texts), size=own)
            images.append(self.labelled.images[chosen])
            texts += [self.labelled.texts[index] for index in chosen]
        if self.unlabelled is not None:
            images.append(self.unlabelled[rng.integers(len(self.unlabelled), size=without)])
        return collate(np.concatenate(images), texts, self.alphabet)

    def _drawn(self, rng: np.random.Generator, step: int, count: int) -> NDArray[np.int64]:
        """The numbers of the step's rendered plates: its own new ones, then any up to them."""
        assert self.cache is not None
        fresh = fresh_plates(count)
        new = np.arange(step * fresh, min((step + 1) * fresh, len(self.cache)))
        known = min((step + 1) * fresh, len(self.cache))
        return np.concatenate([new, rng.integers(known, size=count - len(new))])


def batches(feed: Feed, first: int, last: int, workers: int) -> Iterator[Batch]:
    """The batches of steps `first` to `last - 1`, made ahead by `workers` processes."""
    return items_of_steps(feed, first, last, workers)
