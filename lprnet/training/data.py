"""Batches for training: rendered plates, and a user's labelled images mixed in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lprnet.model.preprocessing import normalise
from lprnet.runtime.alphabet import INDEX
from lprnet.runtime.image_io import images_in, label_of, read_image
from lprnet.synthetic.render import render

EASY_STEPS = 1500
"""Difficulty rises over these steps: CTC leaves its all-blank start only on readable plates."""
HARDEST = 2.2
"""What the training's difficulty rises to; each plate draws evenly from 0.2 up to it."""

Item = tuple[NDArray[np.uint8], str]


@dataclass(frozen=True)
class Batch:
    """`images (N, 3, 24, 94)` float32, `targets (sum of lengths,)`, `lengths (N,)`."""

    images: Tensor
    targets: Tensor
    lengths: Tensor


def read_labelled(directory: Path) -> list[Item]:
    """The images of `directory` as `(24, 94, 3)` uint8 with the texts in their file names.

    Raises `UserError` for an unreadable image, a name that is no plate, or no image at all.
    """
    paths = images_in(directory)
    return [(read_image(path), label_of(path)) for path in paths]


def collate(items: list[Item]) -> Batch:
    """Normalised images, labels concatenated for CTC."""
    images = torch.from_numpy(normalise(np.stack([image for image, _ in items])))
    targets = torch.tensor([INDEX[character] for _, text in items for character in text])
    return Batch(images, targets, torch.tensor([len(text) for _, text in items]))


class Plates(Dataset[Item]):
    """Item `i` is plate `i` of `seed`, or every fourth one an image of the user, photographed on.

    `own` are `(24, 94, 3)` uint8 images with their texts; they get light and noise only.
    """

    def __init__(self, seed: int, batch: int, own: list[Item]) -> None:
        self.seed, self.batch, self.own = seed, batch, own

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng((self.seed, index, 1))
        if self.own and index % 4 == 0:
            image, text = self.own[int(rng.integers(len(self.own)))]
            return _relit(rng, image), text
        ceiling = min(1.0, 0.2 + 0.8 * index / self.batch / EASY_STEPS) * HARDEST
        return render(self.seed, index, float(rng.uniform(0.2, ceiling)))


def _relit(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gain, shift = rng.uniform(0.7, 1.3), rng.normal(0, 12, 3)
    noisy = image * gain + shift + rng.normal(0, 3, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


class _Onwards(Sampler[list[int]]):
    """The index lists of step `first`, `first + 1`, ... up to `last`."""

    def __init__(self, first: int, last: int, batch: int) -> None:
        self.first, self.last, self.batch = first, last, batch

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.batch, (step + 1) * self.batch))


def batches(
    seed: int, first: int, last: int, batch: int, own: list[Item], workers: int
) -> Iterator[Batch]:
    """The batches of steps `first` to `last - 1`, rendered ahead by `workers` processes.

    Which plates a step sees depends on `seed` and the step alone, so a resumed run goes on with
    the plates an uninterrupted one would have seen.
    """
    loader = DataLoader(
        Plates(seed, batch, own),
        batch_sampler=_Onwards(first, last, batch),
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_single_threaded,
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


def _single_threaded(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
