"""Folding keeps the logits and leaves exact zeros; compact networks are the same network."""

import copy

import pytest
import torch

from lprnet.compression.compact import compact, expand
from lprnet.compression.fold_constants import fold, living_channels, macs
from lprnet.model.conv_graph import LAYERS, convolution
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError


@pytest.fixture(scope="module")
def model() -> LPRNet:
    """Random, with batch norms that do something and channels dead in every way there is."""
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.5, 0.6, 0.7, 0.8)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
            module.weight.data[::3] = 1e-38
            assert module.running_var is not None
            module.running_var.uniform_(0.1, 2.0)
    with torch.no_grad():
        convolution(model, "backbone.4.block.0").weight[4:8] = 0.0  # constants in front of padding
        convolution(model, "backbone.8.block.4").weight[5] = 0.0  # a constant in front of a 1x1
    return model


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_the_logits_stay(model: LPRNet, images: torch.Tensor) -> None:
    folded = fold(model)
    wanted = model(images)
    tolerance = float(wanted.abs().max()) * 1e-5
    assert torch.allclose(folded(images), wanted, rtol=0, atol=tolerance)
    assert torch.allclose(compact(folded).logits(images), wanted, rtol=0, atol=tolerance)


@torch.no_grad()
def test_dead_channels_are_zero_and_cost_nothing(model: LPRNet) -> None:
    folded = fold(model)
    living = living_channels(folded)
    assert len(living["backbone.0"]) <= 64 - 22  # every third is dead
    assert 5 not in living["backbone.8.block.4"].tolist()
    dead = torch.ones(64, dtype=torch.bool)
    dead[living["backbone.0"]] = False
    assert not convolution(folded, "backbone.4.block.0").weight[:, dead].any()
    assert macs(folded) < macs(fold(LPRNet(context_means=(1.0,) * 4)))


@torch.no_grad()
def test_expanding_undoes_compacting(model: LPRNet) -> None:
    folded = fold(model)
    again = expand(compact(folded), folded).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in folded.state_dict().items())


def test_a_network_of_zeros_stays_a_network(images: torch.Tensor) -> None:
    model = LPRNet(context_means=(1.0,) * 4)
    with torch.no_grad():
        for layer in LAYERS:
            convolution(model, layer.name).weight.zero_()
    logits = compact(fold(model)).logits(images)
    assert logits.shape == (3, 68, 18)
    assert torch.allclose(logits, model.eval()(images), atol=1e-5)


def test_nan_and_a_per_image_norm_are_refused(model: LPRNet) -> None:
    with pytest.raises(UserError, match="per image"):
        fold(LPRNet())
    broken = copy.deepcopy(model)
    with torch.no_grad():
        convolution(broken, "backbone.16").weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"backbone\.16\.weight holds NaN"):
        fold(broken)
