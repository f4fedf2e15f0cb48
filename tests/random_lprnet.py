"""An LPRNet with random weights, and what torch computes with it."""

import torch

from lprnet.model.architecture import Architecture
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA


def random_lprnet(architecture: Architecture = LPRNET_CHINA, seed: int = 1) -> LPRNet:
    """Unlike a fresh network it has telling batch-norm statistics."""
    torch.manual_seed(seed)
    model = LPRNet(architecture)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            torch.nn.init.normal_(layer.running_mean, std=0.1)
            torch.nn.init.uniform_(layer.running_var, 0.01, 1)
    return model


def logits(model: LPRNet, images: torch.Tensor) -> torch.Tensor:
    """What torch computes in inference mode; the model's mode is put back."""
    training = model.training
    with torch.no_grad():
        expected: torch.Tensor = model.eval()(images)
    model.train(training)
    return expected
