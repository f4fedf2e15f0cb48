"""How well a run reads plates that it never trains on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.preprocessing import normalise
from lprnet.runtime.decode import greedy
from lprnet.synthetic.render import render
from lprnet.training.device import Device
from lprnet.training.labelled_images import LabelledImages
from lprnet.training.network_slimming import narrow
from lprnet.training.state import TrainState

SEED = 1_000_003
"""Never a training seed; the rendered plates that the progress is watched on."""
CALIBRATION_IMAGES = 100
AT_ONCE = 50
SHOWN = 3
"""Misread images that a report names."""


@dataclass(frozen=True)
class Validation:
    """Images to read, and normalised ones `(N, C, H, W)` to calibrate the context norm on."""

    images: LabelledImages
    calibration: Tensor
    of_user: bool
    """Whether the user labelled them."""


@dataclass(frozen=True)
class Result:
    """How many images were read exactly, with constant context means and with per-image ones, and
    some that were misread with the constants: name, text, what was read.
    """

    count: int
    right: int
    right_per_image: int
    misread: list[tuple[str, str, str]]


def rendered(seed: int, count: int) -> LabelledImages:
    """The first `count` plates of `seed`, at difficulty 1."""
    plates = [render(seed, index) for index in range(count)]
    names = [f"rendered plate {index}" for index in range(count)]
    return LabelledImages(
        np.stack([image for image, _ in plates]), [text for _, text in plates], names
    )


def calibration_of(images: NDArray[np.uint8]) -> Tensor:
    """At most `CALIBRATION_IMAGES` of `images` `(N, H, W, C)` uint8, the first ones, normalised."""
    return torch.from_numpy(normalise(images[:CALIBRATION_IMAGES]))


def validate(state: TrainState, validation: Validation, device: Device) -> Result:
    """Read the validation images with the average."""
    model = narrow(state.averaged(), state.live).eval().to(device.device)
    images, texts = validation.images, validation.images.texts
    per_image = read(model, images.images)
    model.context_means = calibrate_context_means(model, validation.calibration.to(device.device))
    constant = read(model, images.images)
    misread = [
        (name, text, found)
        for name, text, found in zip(images.names, texts, constant, strict=True)
        if found != text
    ]
    right = [found == text for found, text in zip(per_image, texts, strict=True)]
    return Result(len(texts), len(texts) - len(misread), sum(right), misread[:SHOWN])


@torch.no_grad()
def read(model: LPRNet, images: NDArray[np.uint8]) -> list[str]:
    """The texts that `model` reads greedily in `images` `(N, H, W, C)` uint8."""
    device = next(model.parameters()).device
    texts: list[str] = []
    for first in range(0, len(images), AT_ONCE):
        part = torch.from_numpy(normalise(images[first : first + AT_ONCE])).to(device)
        logits = model(part).float().cpu().numpy()
        texts += [plate.text for plate in greedy(logits, model.architecture.alphabet)]
    return texts
