"""Channels whose readers would round them away are left out, exactly as if they were zero."""

import numpy as np
import pytest
import torch

from lprnet.compression.compact import compact
from lprnet.compression.fold_constants import fold, living_channels
from lprnet.compression.quantize.zero_rounded_channels import audible_channels, cut, silence
from lprnet.model.conv_graph import LAYERS, convolution, weight_and_bias
from lprnet.model.lprnet import LPRNet

QUIET = 1e-4
"""Of weights of order 0.1 to 1: far below half a step of 8 bits."""


@pytest.fixture(scope="module")
def model() -> LPRNet:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.01,) * 4).eval()
    with torch.no_grad():
        for layer in LAYERS:
            torch.nn.init.kaiming_normal_(convolution(model, layer.name).weight)
            convolution(model, layer.name).weight[8::2] = 0.0
        # The third block's last convolution hears channels 0 to 3 of the one before, which alone
        # reads channel 5 of its own source with them.
        convolution(model, "backbone.11.block.6").weight[:, 4:] *= QUIET
        convolution(model, "backbone.11.block.4").weight[:4, 5] *= QUIET
        convolution(model, "backbone.4.block.0").weight[:, 2] *= QUIET  # feeds a context
    return fold(model)


def test_silent_channels_and_what_only_they_read(model: LPRNet) -> None:
    audible = audible_channels(compact(model))
    assert audible["backbone.11.block.4"].tolist() == [0, 1, 2, 3]
    assert 5 not in audible["backbone.11.block.2"]
    assert len(audible["backbone.0"]) == len(living_channels(model)["backbone.0"])
    assert len(audible["backbone.8.block.2"]) == len(living_channels(model)["backbone.8.block.2"])


def test_a_layer_that_nobody_hears_stays_whole(model: LPRNet) -> None:
    small = compact(model)
    small.weights["backbone.8.block.4"].zero_()
    audible = audible_channels(small)
    assert len(audible["backbone.8.block.2"]) == len(small.biases["backbone.8.block.2"])


@torch.no_grad()
def test_without_them_the_network_is_the_one_whose_silent_weights_are_zero(model: LPRNet) -> None:
    small = compact(model)
    kept = audible_channels(small)
    quiet = silence(model, small, kept)
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 3, 24, 94))).float()
    expected = model(x)
    torch.testing.assert_close(cut(small, kept).logits(x), quiet(x), rtol=1e-4, atol=1e-4)
    assert float((quiet(x) - expected).abs().max()) < 0.02 * float(expected.abs().max())
    living, before = living_channels(quiet), living_channels(model)
    for layer in LAYERS:
        assert living[layer.name].tolist() == before[layer.name][kept[layer.name]].tolist()
        gone = [c for c in before[layer.name].tolist() if c not in living[layer.name]]
        weight, bias = weight_and_bias(quiet, layer.name)
        assert not weight[gone].any()
        assert not bias[gone].any()
