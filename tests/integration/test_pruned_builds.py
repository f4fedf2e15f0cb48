"""Pruning at its edges, built: nothing gone, everything, all but one weight, a whole layer."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import find_target
from lprnet.compression.compiler_inputs import (
    float_network,
    pruned_network,
    static_network,
    weights_only_network,
)
from lprnet.compression.prune.prune import depth_aware, inner_widths, structured, unstructured
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.architecture import CONTAINER
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import BACKBONE_NAMES, LPRNET_CHINA
from lprnet.runtime.recognizer import Recognizer

Pixels = NDArray[np.uint8]
Prune = Callable[[LPRNet, Pixels], LPRNet | ReducedNetwork]
TARGET = find_target("native")


@pytest.fixture(scope="module")
def images() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (3, 24, 94, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> LPRNet:
    """Four to eight channels a layer, so that a build takes seconds."""
    torch.manual_seed(0)
    model = LPRNet(context_means=(1.0,) * 4).eval()
    with torch.no_grad():
        for layer in LPRNET_CHINA.backbone:
            weight, bias = weight_and_bias(model, layer.name)
            torch.nn.init.kaiming_normal_(weight)
            bias.uniform_(-0.1, 0.2)
            weight[torch.arange(len(weight)) % 4 != 0] = 0.0
            weight[32:] = 0.0
            bias[(weight == 0).all(dim=3).all(dim=2).all(dim=1)] = 0.0
    return model


def count_weights(model: LPRNet) -> int:
    return sum(weight_and_bias(model, name)[0].numel() for name in (*BACKBONE_NAMES, CONTAINER))


def narrowed(model: LPRNet, images: Pixels, widths: Mapping[str, int]) -> ReducedNetwork:
    reduced = reduce(model)
    inputs = torch.from_numpy(normalise(images))
    return reduced.bind(structured(reduced.compact, inputs, widths))


def without(model: LPRNet, images: Pixels, layer: str) -> ReducedNetwork:
    """`model` with a layer of zeros, whose channels nothing else makes up for."""
    emptied = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in weight_and_bias(emptied, layer):
            tensor.zero_()
    return narrowed(emptied, images, dict.fromkeys(inner_widths(2, 2, 2), 2))


EDGES: dict[str, Prune] = {
    "nothing": lambda model, _: depth_aware(model, (0.0, 0.0, 0.0)),
    "everything": lambda model, _: unstructured(model, 1.0),
    "all but one weight": lambda model, _: unstructured(model, 1 - 1 / count_weights(model)),
    "the whole middle": lambda model, _: depth_aware(model, (0.2, 1.0, 0.9)),
    "one channel everywhere": lambda model, images: narrowed(
        model, images, dict.fromkeys(BACKBONE_NAMES, 1)
    ),
    "no channel": lambda model, images: narrowed(
        model, images, dict.fromkeys(BACKBONE_NAMES, 1000)
    ),
    "an empty first layer": lambda model, images: without(model, images, "backbone.0"),
    "an empty layer inside": lambda model, images: without(model, images, "backbone.8.block.2"),
    "an empty container": lambda model, images: without(model, images, CONTAINER),
}


def network_of(pruned: LPRNet | ReducedNetwork, quantized: str, images: Pixels) -> CompilerInput:
    """What a build would compile; of a float model, compared with torch's own evaluation of it."""
    if isinstance(pruned, LPRNet) and quantized == "float32":
        return float_network(pruned)
    reduced = reduce(pruned) if isinstance(pruned, LPRNet) else pruned
    match quantized:
        case "static":
            return static_network(reduced, images, winograd=True)
        case "weights":
            return weights_only_network(reduced, images)
        case _:
            return pruned_network(reduced)


@pytest.mark.parametrize(
    ("edge", "quantized"),
    [
        ("nothing", "float32"),
        ("everything", "static"),
        ("everything", "weights"),
        ("all but one weight", "float32"),
        ("all but one weight", "static"),
        ("the whole middle", "float32"),
        ("one channel everywhere", "static"),
        ("no channel", "float32"),
        ("an empty first layer", "weights"),
        ("an empty layer inside", "static"),
        ("an empty container", "float32"),
    ],
)
def test_an_edge_is_a_program_that_computes_it(
    edge: str, quantized: str, model: LPRNet, images: Pixels, tmp_path: Path
) -> None:
    """`compile_network` compares with torch on these images; here on others."""
    checkpoint = tmp_path / "checkpoint.pth"
    torch.save(model.state_dict(), checkpoint)
    network = network_of(EDGES[edge](model, images), quantized, images)
    built = compile_network(
        network, (TARGET,), Source(checkpoint, ()), images, tmp_path / "edge.so"
    )
    others = np.stack([np.zeros_like(images[0]), np.full_like(images[0], 255), images[0][::-1]])
    found, wanted = Recognizer(built.artifact).logits(others), network.expected(others)
    assert np.isfinite(found).all()
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max() + 1e-6
