"""Which images constants may be calibrated on: at most 100, the same ones every time."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.images import list_images, normalise, read_image
from lprnet.model import LPRNet, calibrate_context_means
from lprnet.synthetic import sample_plates

MOST_IMAGES = 100
"""The rest stays unseen, so that accuracy on it means something."""
SEED = 0


def calibration_files(directory: Path) -> list[Path]:
    """At most 100 images of `directory`, chosen by `SEED`, sorted by name. Raises `UserError`."""
    files = list_images([str(directory)])
    chosen = np.random.default_rng(SEED).permutation(len(files))[:MOST_IMAGES]
    return sorted(files[index] for index in chosen)


def rendered_images() -> NDArray[np.uint8]:
    """As many rendered plates `(N, 24, 94, 3)`, for a user who gives no images."""
    return np.stack([image for image, _ in sample_plates(MOST_IMAGES)])


def read_images(files: list[Path]) -> NDArray[np.uint8]:
    """`(N, 24, 94, 3)` uint8 BGR. Raises `UserError` at the first bad file."""
    return np.stack([read_image(file) for file in files])


def calibrate(model: LPRNet, images: NDArray[np.uint8]) -> LPRNet:
    """Replace the per-image context norm of `model` by constants measured on `images`."""
    model.context_means = calibrate_context_means(model, torch.from_numpy(normalise(images)))
    return model
