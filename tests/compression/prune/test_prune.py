"""Pruning: counts, hostile ratios, and reconstruction that beats plain removal."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.compiler.complexity import count_macs
from lprnet.compression.calibration import calibrate, calibration_files, read_images
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.least_squares import as_solution, normal_equations, ridge
from lprnet.compression.prune.channel_selection import NOT_READ, Consumer, select_channels_obs
from lprnet.compression.prune.prune import (
    DEPTHS,
    depth_aware,
    inner_widths,
    structured,
    unstructured,
)
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.architecture import CONTAINER
from lprnet.model.checkpoint import load_model
from lprnet.model.conv_graph import convolution
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import BACKBONE_NAMES, LPRNET_CHINA
from lprnet.support.errors import UserError
from tests.conftest import RealData


@pytest.fixture(scope="module")
def model() -> LPRNet:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.01,) * 4).eval()
    with torch.no_grad():
        for layer in LPRNET_CHINA.backbone:
            torch.nn.init.kaiming_normal_(convolution(model, layer.name).weight)
            convolution(model, layer.name).weight[8::2] = 0.0  # channels that cost no time here
    return model


@pytest.fixture(scope="module")
def reduced(model: LPRNet) -> ReducedNetwork:
    return reduce(model)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(4, 3, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1


def count_weights(model: LPRNet, names: tuple[str, ...]) -> tuple[int, int]:
    weights = [convolution(model, name).weight for name in names]
    return sum(int((w != 0).sum()) for w in weights), sum(w.numel() for w in weights)


@torch.no_grad()
@settings(max_examples=10)
@given(st.floats(0.5, 1.0))
def test_the_largest_weights_stay(model: LPRNet, ratio: float) -> None:
    everything = (*BACKBONE_NAMES, CONTAINER)
    pruned = unstructured(model, ratio)
    kept, total = count_weights(pruned, everything)
    assert kept == min(total - round(ratio * total), count_weights(model, everything)[0])
    pairs = [
        (convolution(pruned, name).weight.flatten(), convolution(model, name).weight.flatten())
        for name in everything
    ]
    gone = torch.cat([before[after == 0].abs() for after, before in pairs])
    left = torch.cat([after[after != 0].abs() for after, _ in pairs])
    assert not len(left) or float(gone.max()) <= float(left.min())


@torch.no_grad()
def test_nothing_and_everything(
    model: LPRNet, reduced: ReducedNetwork, images: torch.Tensor
) -> None:
    same = unstructured(model, 0.0)
    assert torch.equal(same(images), model(images))
    constant = unstructured(model, 1.0)
    answers = constant(images)
    assert answers.isfinite().all()
    assert torch.equal(answers[0], answers[1])
    empty = reduce(constant)
    assert torch.allclose(empty.compact.logits(images), answers, atol=1e-5)
    assert count_macs(empty.module) < count_macs(reduced.module) / 100


@torch.no_grad()
def test_one_weight_left(model: LPRNet, images: torch.Tensor) -> None:
    _, total = count_weights(model, (*BACKBONE_NAMES, CONTAINER))
    lonely = unstructured(model, 1 - 1 / total)
    assert count_weights(lonely, (*BACKBONE_NAMES, CONTAINER))[0] == 1
    assert torch.allclose(reduce(lonely).compact.logits(images), lonely(images), atol=1e-5)


def test_depth_aware_prunes_each_group_by_its_ratio(model: LPRNet) -> None:
    pruned = depth_aware(model, (0.6, 0.7, 1.0))
    for names, ratio in zip(DEPTHS, (0.6, 0.7, 1.0), strict=True):
        kept, total = count_weights(pruned, names)
        assert kept == min(total - round(ratio * total), count_weights(model, names)[0])
    assert sorted(name for names in DEPTHS for name in names) == sorted(
        (*BACKBONE_NAMES, CONTAINER)
    )


@pytest.mark.parametrize("ratio", [-0.1, 1.5, math.nan, math.inf])
def test_impossible_ratios_are_refused(model: LPRNet, ratio: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        unstructured(model, ratio)
    with pytest.raises(UserError, match="between 0 and 1"):
        depth_aware(model, (0.1, ratio, 0.1))


def test_impossible_requests_are_refused(
    model: LPRNet, reduced: ReducedNetwork, images: torch.Tensor
) -> None:
    with pytest.raises(UserError, match="3 ratios, not 2"):
        depth_aware(model, (0.1, 0.2))
    with pytest.raises(UserError, match=r"container\.0 cannot be pruned"):
        structured(reduced.compact, images, {"container.0": 8})
    with pytest.raises(UserError, match="at least one channel, not 0"):
        structured(reduced.compact, images, {"backbone.8.block.0": 0})
    broken = copy.deepcopy(model)
    with torch.no_grad():
        convolution(broken, "backbone.0").weight[0] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        unstructured(broken, 0.5)


@torch.no_grad()
def test_channels_that_repeat_others_go_for_free(model: LPRNet, images: torch.Tensor) -> None:
    doubled = copy.deepcopy(model)
    first = convolution(doubled, "backbone.8.block.0")
    first.weight[24:] = first.weight[torch.arange(24, 64) % 24]
    assert first.bias is not None
    first.bias[24:] = first.bias[torch.arange(24, 64) % 24]
    pruned = structured(reduce(doubled).compact, images, {"backbone.8.block.0": 24})
    assert len(pruned.biases["backbone.8.block.0"]) == 24
    expected = doubled(images)
    error = pruned.logits(images) - expected
    assert float(error.abs().max()) < 0.02 * float(expected.abs().max())


@torch.no_grad()
def test_elimination_beats_the_smallest_norm_and_matches_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator)
    x = torch.einsum("ij,njhw->nihw", mixing, torch.randn(4, 6, 8, 8, generator=generator))
    weight = torch.randn(5, 6, 1, 1, generator=generator)
    y = torch.nn.functional.conv2d(x, weight)
    equations = normal_equations(x, y)
    prior = as_solution(weight, torch.zeros(5))

    def loss(kept: list[int]) -> float:
        selected = normal_equations(x[:, kept], y)
        start = torch.cat([prior[kept], prior[-1:]])
        return float(selected.error(ridge(selected, start, 1e-9)).sum())

    consumer = Consumer(equations, prior, 1, torch.arange(6))
    single = select_channels_obs([consumer], 5).tolist()
    assert loss(single) == min(loss([c for c in range(6) if c != gone]) for gone in range(6))
    kept = select_channels_obs([consumer], 3).tolist()
    smallest_norm = weight.flatten(1).norm(dim=0).argsort(descending=True)[:3].sort()[0]
    assert loss(kept) <= loss(smallest_norm.tolist())
    unread = Consumer(equations, prior, 1, torch.tensor([*range(6), NOT_READ]))
    assert select_channels_obs([unread, unread], 6).tolist() == list(range(6))


@torch.no_grad()
def test_channels_with_two_consumers_go_too(reduced: ReducedNetwork, images: torch.Tensor) -> None:
    widths = {
        "backbone.0": 16,
        "backbone.4.block.6": 40,
        "backbone.11.block.6": 30,
        "backbone.20": 20,
    }
    pruned = structured(reduced.compact, images, widths)
    assert {name: len(pruned.biases[name]) for name in widths} == widths
    expected = reduced.compact.logits(images)
    error = (pruned.logits(images) - expected).square().mean()
    assert float(error) < 0.2 * float(expected.var())


@torch.no_grad()
def test_a_single_channel_in_every_block_is_still_a_network(
    reduced: ReducedNetwork, images: torch.Tensor
) -> None:
    pruned = structured(reduced.compact, images, inner_widths(1, 1, 1))
    assert all(len(pruned.biases[name]) == 1 for name in inner_widths(1, 1, 1))
    assert pruned.logits(images).isfinite().all()


@torch.no_grad()
def test_a_layer_is_never_left_without_input(reduced: ReducedNetwork, images: torch.Tensor) -> None:
    """Of a layer that feeds a context too, the one channel that stays may be read there alone."""
    network = reduced.compact
    name, consumer = "backbone.4.block.6", "backbone.8.block.0"
    weights = {**network.weights, consumer: torch.zeros_like(network.weights[consumer])}
    ignoring = CompactNetwork(network.architecture, weights, network.biases)
    pruned = structured(ignoring, images, {name: 1})
    assert 1 <= len(pruned.biases[name]) <= 2
    assert pruned.weights[consumer].shape[1] == 1
    assert pruned.logits(images).isfinite().all()


@torch.no_grad()
def test_real_plates_survive_half_the_weights_of_two_blocks(real_data: RealData) -> None:
    pixels = read_images(calibration_files(real_data.images)[:24])
    model = calibrate(load_model(real_data.checkpoint), pixels)
    images = torch.from_numpy(normalise(pixels))
    reduced = reduce(model)
    pruned = reduced.bind(structured(reduced.compact, images, inner_widths(32, 32, 16)))
    assert count_macs(pruned.module) < 32e6
    same = pruned.compact.logits(images).argmax(dim=1) == model(images).argmax(dim=1)
    assert float(same.float().mean()) > 0.97
