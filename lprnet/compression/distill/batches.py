"""What a step sees: augmented rendered plates, and new images cut from the user's own."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from lprnet.compression.distill.recipe import Recipe
from lprnet.distillation.augment import augment
from lprnet.distillation.plate_cache import PlateCache
from lprnet.distillation.step_loader import items_of_steps
from lprnet.model.preprocessing import OFFSET, SCALE, normalise

Pixels = NDArray[np.uint8]


class StepPlates(Dataset[Pixels]):
    """Item `i` is the rendered plates of step `i`, a function of the recipe's seed and `i`."""

    def __init__(self, cache: PlateCache, recipe: Recipe) -> None:
        self.cache, self.recipe = cache, recipe

    def __getitem__(self, step: int) -> Pixels:
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, step))
        images, _ = self.cache.read(rng.integers(recipe.plates, size=recipe.batch - recipe.own))
        return images


def step_plates(cache: PlateCache, recipe: Recipe, first: int, workers: int) -> Iterator[Pixels]:
    """The rendered plates of steps `first` to the last, `(N, 24, 94, 3)` uint8 BGR each.

    `workers` processes render those that are not in `cache`, ahead of the training.
    """
    return items_of_steps(StepPlates(cache, recipe), first, recipe.steps, workers)


def step_images(
    rendered: Pixels, own: Tensor, recipe: Recipe, step: int, device: torch.device
) -> Tensor:
    """The images of a step on `device`, `(batch, 24, 94, 3)` uint8 BGR.

    `rendered` `(N, 24, 94, 3)` uint8 BGR, `own` `(M, 3, 24, 94)` normalised. The same step of the
    same recipe gives the same images on the same kind of device.
    """
    seed = recipe.seed * 1_000_003 + step
    mixed = mixed_plates(own, recipe.own, torch.Generator().manual_seed(seed))
    images = torch.cat([torch.from_numpy(normalise(rendered)), mixed]).to(device)
    augmented = augment(images, torch.Generator(device).manual_seed(seed))
    pixels = (augmented / SCALE + OFFSET).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous()


def mixed_plates(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` new images `(count, 3, 24, 94)` out of `images` `(N, 3, 24, 94)`, within -1 to 1.

    A network would learn a hundred images by heart, so two are cut at a random column and joined
    (CutMix, Yun et al., arXiv:1905.04899), shifted, with other brightness and contrast and some
    noise.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low

    chosen = images[torch.randint(len(images), (2, count), generator=generator)]
    cut = uniform(0, images.shape[3])
    mixed = torch.where(torch.arange(images.shape[3]) < cut, chosen[0], chosen[1])
    padded = F.pad(mixed, (3, 3, 1, 1), mode="replicate")
    down = int(torch.randint(3, (1,), generator=generator))
    right = int(torch.randint(7, (1,), generator=generator))
    shifted = padded[:, :, down : down + images.shape[2], right : right + images.shape[3]]
    bright = shifted * uniform(0.8, 1.2) + uniform(-0.15, 0.15)
    noise = torch.randn(bright.shape, generator=generator) * uniform(0.0, 0.03)
    return (bright + noise).clamp(-1, 1)
