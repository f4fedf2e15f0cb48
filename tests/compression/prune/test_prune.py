"""Pruning: counts, hostile ratios, and reconstruction that beats plain removal."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.compression.calibration import calibrate, calibration_files, read_images
from lprnet.compression.compact import compact
from lprnet.compression.fold_constants import fold, living_channels, macs
from lprnet.compression.least_squares import as_solution, gram, ridge
from lprnet.compression.prune.channel_selection import NOT_READ, Reading, keep_channels
from lprnet.compression.prune.prune import (
    DEPTHS,
    depth_aware,
    inner_widths,
    refine,
    structured,
    unstructured,
)
from lprnet.model.checkpoint import load_model
from lprnet.model.conv_graph import CONTAINER, LAYERS, NAMES, convolution
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.support.errors import UserError
from tests.conftest import RealData


@pytest.fixture(scope="module")
def model() -> LPRNet:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.01,) * 4).eval()
    with torch.no_grad():
        for layer in LAYERS:
            torch.nn.init.kaiming_normal_(convolution(model, layer.name).weight)
            convolution(model, layer.name).weight[8::2] = 0.0  # channels that cost no time here
    return model


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
    everything = (*NAMES, CONTAINER)
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
def test_nothing_and_everything(model: LPRNet, images: torch.Tensor) -> None:
    same = unstructured(model, 0.0)
    assert torch.equal(same(images), model(images))
    constant = unstructured(model, 1.0)
    answers = constant(images)
    assert answers.isfinite().all()
    assert torch.equal(answers[0], answers[1])
    small = compact(fold(constant))
    assert torch.allclose(small.logits(images), answers, atol=1e-5)
    assert macs(fold(constant)) < macs(fold(model)) / 100


@torch.no_grad()
def test_one_weight_left(model: LPRNet, images: torch.Tensor) -> None:
    _, total = count_weights(model, (*NAMES, CONTAINER))
    lonely = unstructured(model, 1 - 1 / total)
    assert count_weights(lonely, (*NAMES, CONTAINER))[0] == 1
    assert torch.allclose(compact(fold(lonely)).logits(images), lonely(images), atol=1e-5)


def test_depth_aware_prunes_each_group_by_its_ratio(model: LPRNet) -> None:
    pruned = depth_aware(model, (0.6, 0.7, 1.0))
    for names, ratio in zip(DEPTHS, (0.6, 0.7, 1.0), strict=True):
        kept, total = count_weights(pruned, names)
        assert kept == min(total - round(ratio * total), count_weights(model, names)[0])
    assert sorted(name for names in DEPTHS for name in names) == sorted((*NAMES, CONTAINER))


@pytest.mark.parametrize("ratio", [-0.1, 1.5, math.nan, math.inf])
def test_impossible_ratios_are_refused(model: LPRNet, ratio: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        unstructured(model, ratio)
    with pytest.raises(UserError, match="between 0 and 1"):
        depth_aware(model, (0.1, ratio, 0.1))


def test_impossible_requests_are_refused(model: LPRNet, images: torch.Tensor) -> None:
    with pytest.raises(UserError, match="3 ratios, not 2"):
        depth_aware(model, (0.1, 0.2))
    with pytest.raises(UserError, match=r"container\.0 cannot be pruned"):
        structured(model, images, {"container.0": 8})
    with pytest.raises(UserError, match="at least one channel, not 0"):
        structured(model, images, {"backbone.8.block.0": 0})
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
    pruned = structured(doubled, images, {"backbone.8.block.0": 24})
    assert len(living_channels(pruned)["backbone.8.block.0"]) == 24
    wanted = doubled(images)
    assert float((pruned(images) - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


@torch.no_grad()
def test_elimination_beats_the_smallest_norm_and_matches_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator)
    x = torch.einsum("ij,njhw->nihw", mixing, torch.randn(4, 6, 8, 8, generator=generator))
    weight = torch.randn(5, 6, 1, 1, generator=generator)
    y = torch.nn.functional.conv2d(x, weight)
    moments = gram(weight, x, y)
    prior = as_solution(weight, torch.zeros(5))

    def loss(kept: list[int]) -> float:
        cut = gram(weight[:, kept], x[:, kept], y)
        start = torch.cat([prior[kept], prior[-1:]])
        return float(cut.error(ridge(cut, start, 1e-9)).sum())

    reading = Reading(moments, prior, 1, torch.arange(6))
    single = keep_channels([reading], 5)
    assert loss(single) == min(loss([c for c in range(6) if c != gone]) for gone in range(6))
    kept = keep_channels([reading], 3)
    smallest_norm = weight.flatten(1).norm(dim=0).argsort(descending=True)[:3].sort()[0]
    assert loss(kept) <= loss(smallest_norm.tolist())
    unread = Reading(moments, prior, 1, torch.tensor([*range(6), NOT_READ]))
    assert keep_channels([unread, unread], 6) == list(range(6))


@torch.no_grad()
def test_channels_with_two_readers_go_too(model: LPRNet, images: torch.Tensor) -> None:
    widths = {
        "backbone.0": 16,
        "backbone.4.block.6": 40,
        "backbone.11.block.6": 30,
        "backbone.20": 20,
    }
    pruned = structured(model, images, widths)
    living = living_channels(pruned)
    assert {name: len(living[name]) for name in widths} == widths
    wanted = model(images)
    assert float((pruned(images) - wanted).square().mean()) < 0.2 * float(wanted.var())


@torch.no_grad()
def test_a_single_channel_in_every_block_is_still_a_network(
    model: LPRNet, images: torch.Tensor
) -> None:
    pruned = structured(model, images, inner_widths(1, 1, 1))
    living = living_channels(pruned)
    assert all(len(living[name]) == 1 for name in inner_widths(1, 1, 1))
    assert pruned(images).isfinite().all()


def test_refining_comes_closer_and_keeps_zeros(model: LPRNet, images: torch.Tensor) -> None:
    pruned = unstructured(model, 0.8)
    refined = refine(pruned, model, images, steps=12)
    with torch.no_grad():
        wanted = model(images)
        before = float((pruned(images) - wanted).square().mean())
        after = float((refined(images) - wanted).square().mean())
    assert after < before
    for name in NAMES:
        zero = convolution(fold(pruned), name).weight == 0
        assert not convolution(refined, name).weight[zero].any()


@torch.no_grad()
def test_real_plates_survive_half_the_weights_of_two_blocks(real_data: RealData) -> None:
    pixels = read_images(calibration_files(real_data.images)[:24])
    model = calibrate(load_model(real_data.checkpoint), pixels)
    images = torch.from_numpy(normalise(pixels))
    pruned = structured(model, images, inner_widths(32, 32, 16))
    assert macs(pruned) < 32e6
    same = pruned(images).argmax(dim=1) == model(images).argmax(dim=1)
    assert float(same.float().mean()) > 0.97
