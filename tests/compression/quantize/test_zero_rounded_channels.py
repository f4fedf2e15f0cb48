"""Channels that their consumers would round to 0 are left out, as if they were zero."""

import numpy as np
import pytest
import torch

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.quantize.zero_rounded_channels import channels_surviving_rounding
from lprnet.compression.reduced import reduce
from lprnet.model.conv_graph import convolution
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA

SMALL = 1e-4
"""Of weights of order 0.1 to 1: far below half a step of 8 bits."""


@pytest.fixture(scope="module")
def network() -> CompactNetwork:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.01,) * 4).eval()
    with torch.no_grad():
        for layer in LPRNET_CHINA.backbone:
            weight = convolution(model, layer.name).weight
            torch.nn.init.kaiming_normal_(weight)
            if ".block." in layer.name:
                weight[8:] = 0.0  # and the test quick
    network = reduce(model).compact
    # The third block's last convolution reads channels 0 to 3 of the one before, which alone read
    # channel 5 of their own producer with small weights.
    network.weights["backbone.11.block.6"][:, 4:] *= SMALL
    network.weights["backbone.11.block.4"][:4, 5] *= SMALL
    network.weights["backbone.4.block.0"][:, 2] *= SMALL  # of a layer that feeds a context
    return network


def test_channels_that_are_rounded_away_and_what_only_they_read(network: CompactNetwork) -> None:
    kept = channels_surviving_rounding(network, ())
    assert kept["backbone.11.block.4"].tolist() == [0, 1, 2, 3]
    assert 5 not in kept["backbone.11.block.2"]
    for name in ("backbone.0", "backbone.8.block.2"):
        assert len(kept[name]) == len(network.biases[name])


def test_a_layer_none_of_whose_channels_survives_stays_whole(network: CompactNetwork) -> None:
    weights = {**network.weights}
    weights["backbone.8.block.4"] = torch.zeros_like(weights["backbone.8.block.4"])
    kept = channels_surviving_rounding(
        CompactNetwork(network.architecture, weights, network.biases), ()
    )
    assert len(kept["backbone.8.block.2"]) == len(network.biases["backbone.8.block.2"])


@torch.no_grad()
def test_the_network_without_them_is_the_one_whose_small_weights_are_zero(
    network: CompactNetwork,
) -> None:
    kept = channels_surviving_rounding(network, ())
    zeroed = {name: weight.clone() for name, weight in network.weights.items()}
    for name, rows in kept.items():
        consumer = network.architecture.consumer(network.architecture.conv(name))
        if consumer is not None:
            gone = torch.ones(len(network.biases[name]), dtype=torch.bool)
            gone[rows] = False
            weight = zeroed[consumer.name]
            weight[:, gone[: weight.shape[1]]] = 0.0
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 3, 24, 94))).float()
    expected = CompactNetwork(network.architecture, zeroed, network.biases).logits(x)
    selected = network.select_channels(kept)
    torch.testing.assert_close(selected.logits(x), expected, rtol=1e-4, atol=1e-4)
    assert [len(bias) for bias in selected.biases.values()] < [
        len(bias) for bias in network.biases.values()
    ]
    original = network.logits(x)
    assert float((expected - original).abs().max()) < 0.02 * float(original.abs().max())
