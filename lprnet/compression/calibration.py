"""Which images constants may be calibrated on: at most 100, the same ones every time."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.preprocessing import normalise
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.image_format import PUBLISHED, ImageFormat
from lprnet.runtime.image_io import read_image, resize
from lprnet.runtime.image_paths import images_in
from lprnet.runtime.plate_grammar import PROVINCES
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates

MAX_IMAGES = 100
"""The rest stays unseen, so that accuracy on it means something."""
SEED = 0


def calibration_files(directory: Path) -> list[Path]:
    """At most 100 images of `directory`, chosen by `SEED`, sorted by name. Raises `UserError`."""
    files = images_in(directory)
    chosen = np.random.default_rng(SEED).permutation(len(files))[:MAX_IMAGES]
    return sorted(files[index] for index in chosen)


def rendered_images(image_format: ImageFormat = PUBLISHED) -> NDArray[np.uint8]:
    """As many rendered plates `(N, *image_format.shape)` of China, for a user who gives none."""
    return np.stack([resize(image, image_format) for image, _ in sample_plates(MAX_IMAGES)])


def with_rendered(images: NDArray[np.uint8], files: Sequence[Path]) -> NDArray[np.uint8]:
    """`images` `(N, 24, 94, 3)` uint8 BGR, which were read from `files`, and rendered plates beside
    them; `images` alone where they are rendered themselves.

    What a distilled network is quantized on: photographs of one camera have not all the light that
    rendered plates taught it. Calibrated on 100 of them alone, static int8 of the public checkpoint
    at 27.5 million multiply-accumulates diverges from the whole network by 0.0067 on other rendered
    plates, on both by 0.0038, and in float32 by 0.0030.
    """
    return np.concatenate([images, rendered_images()]) if files else images


def check_rendered(checkpoint: Path, alphabet: Alphabet) -> None:
    """Raise `UserError` where rendered plates are none of those that a network reads."""
    if not set(PROVINCES) <= set(alphabet.symbols):
        raise UserError(
            f"{checkpoint} reads the alphabet {alphabet.name}, and plates are rendered of China's "
            "alone; give images to calibrate on with --calibration"
        )


def read_images(files: list[Path], image_format: ImageFormat = PUBLISHED) -> NDArray[np.uint8]:
    """`(N, *image_format.shape)` uint8. Raises `UserError` at the first bad file."""
    return np.stack([read_image(file, image_format=image_format) for file in files])


def calibrate(model: LPRNet, images: NDArray[np.uint8]) -> LPRNet:
    """Replace the per-image context norm of `model` by constants measured on `images`.

    Raises `UserError` if a context map is 0 on all of them, or too large for float32: the norm then
    has no constant, and without one divides by 0 as well.
    """
    means = calibrate_context_means(model, torch.from_numpy(normalise(images)))
    for number, mean in enumerate(means, start=1):
        if not torch.finfo(torch.float32).tiny <= mean < math.inf:
            raise UserError(
                f"context map {number} of {len(means)} has a mean square of {mean:g} on the "
                "calibration images, which nothing can be divided by; calibrate on other images, "
                "or train or copy the checkpoint again"
            )
    model.context_means = means
    return model
