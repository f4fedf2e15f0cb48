"""What is read from a reduced graph is the same network, and comes back when it is bound."""

import copy

import pytest
import torch

from lprnet.compiler.complexity import count_macs
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.conv_graph import convolution
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA
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
def reduced(model: LPRNet) -> ReducedNetwork:
    return reduce(model)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_the_logits_stay(model: LPRNet, reduced: ReducedNetwork, images: torch.Tensor) -> None:
    expected = model(images)
    tolerance = float(expected.abs().max()) * 1e-5
    found = reduced.compact.logits(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_dead_channels_are_gone_and_the_others_keep_their_numbers(
    model: LPRNet, reduced: ReducedNetwork
) -> None:
    channels = reduced.channels
    assert not (channels["backbone.0"] % 3 == 0).any()
    assert 5 not in channels["backbone.8.block.4"].tolist()
    for conv in model.architecture.backbone:
        numbers = channels[conv.name].tolist()
        assert len(numbers) == len(set(numbers)) == len(reduced.compact.biases[conv.name])
        # Those that the next convolution selects come first, in order.
        consumer = model.architecture.consumer(conv)
        step = 1 if consumer is None else consumer.channel_step
        selected = sorted(number for number in numbers if number % step == 0)
        assert numbers == [*selected, *sorted(set(numbers) - set(selected))]


def test_binding_the_same_convolutions_changes_nothing(reduced: ReducedNetwork) -> None:
    again = reduced.bind(reduced.compact)
    for name, weight in again.compact.weights.items():
        assert torch.equal(weight, reduced.compact.weights[name])
        assert torch.equal(again.compact.biases[name], reduced.compact.biases[name])
    assert all((one == torch.arange(len(one))).all() for one in again.channels.values())
    assert again.passes[: len(reduced.passes)] == reduced.passes


@torch.no_grad()
def test_what_pruning_empties_is_dropped(reduced: ReducedNetwork, images: torch.Tensor) -> None:
    """Every second channel of every layer left out, and two more set to zero."""
    network = reduced.compact
    kept = {name: torch.arange(0, len(network.biases[name]), 2) for name in reduced.channels}
    narrow = network.select_channels(kept)
    narrow.weights["backbone.11.block.0"][1:3] = 0.0
    narrow.biases["backbone.11.block.0"][1:3] = 0.0
    bound = reduced.bind(narrow)
    dropped = set(range(len(narrow.biases["backbone.11.block.0"])))
    dropped -= set(bound.channels["backbone.11.block.0"].tolist())
    assert dropped == {1, 2}
    assert count_macs(bound.module) < count_macs(reduced.module) / 2
    expected = narrow.logits(images)
    tolerance = float(expected.abs().max()) * 1e-5
    torch.testing.assert_close(bound.compact.logits(images), expected, rtol=0, atol=tolerance)


@torch.no_grad()
def test_a_network_of_zeros_stays_a_network(images: torch.Tensor) -> None:
    model = LPRNet(context_means=(1.0,) * 4)
    for layer in LPRNET_CHINA.backbone:
        convolution(model, layer.name).weight.zero_()
    logits = reduce(model).compact.logits(images)
    assert logits.shape == (3, 68, 18)
    assert torch.allclose(logits, model.eval()(images), atol=1e-5)


def test_nan_and_a_per_image_norm_are_refused(model: LPRNet) -> None:
    with pytest.raises(UserError, match="per image"):
        _ = reduce(LPRNet()).compact
    broken = copy.deepcopy(model)
    with torch.no_grad():
        convolution(broken, "backbone.16").weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"backbone\.16\.weight holds NaN"):
        reduce(broken)
