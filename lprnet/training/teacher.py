"""A network that teaches another one on the same images."""

from pathlib import Path

import torch
from torch import Tensor

from lprnet.model.alphabets import UnknownAlphabetError
from lprnet.model.architecture import Architecture
from lprnet.model.checkpoint import load_model_reading
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.support.errors import UserError
from lprnet.training.device import Device
from lprnet.training.network_slimming import live_channels, narrow


class Teacher:
    """An LPRNet in evaluation mode, without dead channels, its contexts normalised by constants."""

    def __init__(self, model: LPRNet, calibration: Tensor, device: Device) -> None:
        """`calibration` `(N, C, H, W)`: normalised images for the constants."""
        _zero_subnormals(model)
        network = narrow(model, live_channels(model)).eval()
        network.context_means = calibrate_context_means(network, calibration)
        network = network.to(device.device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """`(N, C, H, W)` to `(N, classes, positions)` float32."""
        with self._device.autocast():
            logits: Tensor = self._network(images)
        return logits.float()


def load_teacher(path: Path, student: Architecture) -> LPRNet:
    """The checkpoint `path`; of an alphabet that is not known, it reads that of `student`, if it
    has as many classes.

    Raises `UserError` where it is none, and where its logits do not stand for the same as those of
    `student`: alphabet, image and positions must be the same.
    """
    ours = student.alphabet
    try:
        model = load_model_reading(path, ours)
    except UnknownAlphabetError as error:
        raise _unfit(
            path,
            f"{error.classes} classes, the blank included, and the network in training has "
            f"{ours.classes}",
        ) from error
    teacher = model.architecture
    theirs = teacher.alphabet
    if (ours.symbols, ours.blank) != (theirs.symbols, theirs.blank):
        what = f"the alphabet {theirs.name}, and the network in training reads {ours.name}"
    elif teacher.image_format != student.image_format:
        what = f"{_image(teacher)} images, and the network in training reads {_image(student)}"
    elif teacher.positions != student.positions:
        what = f"{teacher.positions} positions, and the network in training has {student.positions}"
    else:
        return model
    raise _unfit(path, what)


def _unfit(path: Path, what: str) -> UserError:
    return UserError(f"{path} cannot teach here: it has {what}; give a teacher that has the same")


def _image(architecture: Architecture) -> str:
    image = architecture.image_format
    return f"{image.width}x{image.height} {image.colours}"


@torch.no_grad()
def _zero_subnormals(model: LPRNet) -> None:
    """A third of the public checkpoint's weights, which slow everything down and change nothing."""
    for parameter in model.parameters():
        parameter[parameter.abs() < torch.finfo(torch.float32).tiny] = 0
