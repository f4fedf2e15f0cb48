"""Other views of a plate: augmentation on tensors, cheap enough to let each rendered plate serve
several times.

On one core rendering a plate takes a quarter of the time of a training step on it, and this a
fiftieth. It comes on top of what `lprnet/synthetic/augment.py` does before a plate is 24 rows high,
and is far weaker.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.model.preprocessing import OFFSET, SCALE

SCALES = ((0.92, 1.08), (0.9, 1.1))
SHEARS = (0.03, 0.12)
SHIFTS = (0.05, 0.1)
"""Along the width and along the height. Shears and shifts are to both sides, in halves of the
image."""
BLURRED = 0.3
"""The share of images that a 3x3 mean blurs, each by a share of its own."""
GAIN, TINT, BRIGHTNESS = (0.65, 1.35), (0.9, 1.1), 0.3
"""Factors of all channels and of each; what is added, to both sides, where pixels are -1 to 1."""
NOISE = 0.08
"""The largest standard deviation."""


def normalised(pixels: Tensor) -> Tensor:
    """`(N, H, W, C)` uint8 as a network reads it: `(N, C, H, W)` float32, channels last."""
    return ((pixels.float() - OFFSET) * SCALE).permute(0, 3, 1, 2)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Normalised images `(N, C, H, W)` float32, from -1 to 1, each moved, blurred, lit and made
    noisy in a way of its own; the same shape and range.

    `generator` is on the images' device; the same state gives the same images there.
    """
    return _noisy(_lit(_blurred(_moved(images, generator), generator), generator), generator)


def _uniform(
    images: Tensor, generator: torch.Generator, low: float, high: float, channels: int = 1
) -> Tensor:
    """`(N, channels, 1, 1)`."""
    shape = (len(images), channels, 1, 1)
    return torch.rand(shape, generator=generator, device=images.device) * (high - low) + low


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Stretched, sheared and shifted; the border's pixels are repeated outwards."""

    def uniform(low: float, high: float) -> Tensor:
        return _uniform(images, generator, low, high).flatten()

    matrix = torch.zeros(len(images), 2, 3, device=images.device)
    for axis in (0, 1):
        matrix[:, axis, axis] = uniform(*SCALES[axis])
        matrix[:, axis, 1 - axis] = uniform(-SHEARS[axis], SHEARS[axis])
        matrix[:, axis, 2] = uniform(-SHIFTS[axis], SHIFTS[axis])
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _blurred(images: Tensor, generator: torch.Generator) -> Tensor:
    mean = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    chosen = _uniform(images, generator, 0, 1) < BLURRED
    return images + chosen * _uniform(images, generator, 0, 1) * (mean - images)


def _lit(images: Tensor, generator: torch.Generator) -> Tensor:
    gain = _uniform(images, generator, *GAIN)
    tint = _uniform(images, generator, *TINT, channels=images.shape[1])
    return images * gain * tint + _uniform(images, generator, -BRIGHTNESS, BRIGHTNESS)


def _noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + noise * _uniform(images, generator, 0, NOISE)).clamp(-1, 1)
