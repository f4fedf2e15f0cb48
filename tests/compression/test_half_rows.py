"""Half of the rows of the first block: what is computed, and through the whole compiler."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.onnx_file import network_to_onnx, quantized_to_onnx
from lprnet.compiler.targets import find_target
from lprnet.compression.compiler_inputs import bf16_network, pruned_network, static_network
from lprnet.compression.half_rows import half_rows, halved
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.architecture import Architecture, MaxPool
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet, resized
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.recognizer import Recognizer
from tests.random_lprnet import random_lprnet

MEANS = (0.5, 0.6, 0.7, 0.8)
PIXELS = np.random.default_rng(3).integers(0, 256, (6, 24, 94, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> LPRNet:
    narrow = lprnet(CHINA, widths=(16, 32, 32, 32, 32))
    model = random_lprnet(narrow)
    model.context_means = MEANS
    return model.eval()


@pytest.fixture(scope="module")
def student(model: LPRNet) -> LPRNet:
    found = half_rows(model)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def reduced(student: LPRNet) -> ReducedNetwork:
    return reduce(student)


def on_every_second_row(model: LPRNet, x: Tensor) -> Tensor:
    """The whole first block, of which every second row is taken, twice; then as the network goes
    on.
    """
    outputs = {}
    for conv in model.architecture.backbone:
        if conv.pool is not None:
            x = F.max_pool2d(x[:, :: conv.pool.channel_step], 3, conv.pool.stride)
        x = model.get_submodule(conv.name)(x)
        x = F.relu(x if conv.norm is None else model.get_submodule(conv.norm)(x))
        if conv.name == "backbone.4.block.6":
            x = x[:, :, ::2].repeat_interleave(2, dim=2)
        outputs[conv.name] = x
    contexts = [
        F.avg_pool2d(outputs[one.of], one.kernel, one.stride) / mean
        for one, mean in zip(model.architecture.contexts, MEANS, strict=True)
    ]
    logits: Tensor = model.get_submodule("container.0")(torch.cat(contexts, 1))
    return logits.mean(2)


@torch.no_grad()
def test_the_first_block_is_computed_on_every_second_row(model: LPRNet, student: LPRNet) -> None:
    x = torch.from_numpy(normalise(PIXELS)).double()
    expected = on_every_second_row(model.double(), x)
    found = student.double()(x)
    model.float(), student.float()
    assert found.shape == expected.shape == (6, 68, 18)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    assert (found - model(x.float())).abs().max() > 1e-3 * expected.abs().max(), "nothing changed"


def test_shapes_after_the_block_stay() -> None:
    whole = lprnet(CHINA, widths=(16, 32, 32, 32, 32))
    half = halved(whole)
    assert half is not None
    before, after = whole.shapes(), half.shapes()
    names = [conv.name for conv in whole.backbone]
    changed = [name for name in names if before[name] != after[name]]
    assert changed == [f"backbone.4.block.{n}" for n in (2, 4, 6)]
    assert all(2 * after[name][1] == before[name][1] for name in changed)
    assert (half.grid, half.positions) == ((1, 18), 18)


def with_other_pool() -> Architecture:
    backbone = tuple(
        replace(conv, pool=MaxPool(2, stride=(1, 1))) if conv.name == "backbone.8.block.0" else conv
        for conv in LPRNET_CHINA.backbone
    )
    return replace(LPRNET_CHINA, backbone=backbone)


def of_low_images() -> Architecture:
    """That the published layers do not fit."""
    *backbone, last = LPRNET_CHINA.backbone
    shorter = replace(LPRNET_CHINA, backbone=(*backbone, replace(last, kernel=(5, 1))))
    return resized(shorter, 16, 94)


@pytest.mark.parametrize(
    "architecture", [with_other_pool(), lprnet(CHINA, 32, 94), of_low_images()]
)
def test_other_layers_and_sizes_keep_their_rows(architecture: Architecture) -> None:
    assert halved(architecture) is None


def test_half_of_them_is_not_halved_again() -> None:
    half = halved(LPRNET_CHINA)
    assert half is not None
    assert halved(half) is None


@torch.no_grad()
def test_the_compiled_network_computes_the_same(
    student: LPRNet, reduced: ReducedNetwork, tmp_path: Path
) -> None:
    expected = student(torch.from_numpy(normalise(PIXELS))).numpy()
    found = reduced.compact.logits(torch.from_numpy(normalise(PIXELS))).numpy()
    largest = abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * largest)
    logits = compiled(pruned_network(reduced), tmp_path)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * largest)


def compiled(network: CompilerInput, folder: Path) -> NDArray[np.float32]:
    """The logits of its artifact for this CPU."""
    artifact = folder / "network.so"
    checkpoint = folder / "network.pth"
    checkpoint.write_bytes(b"weights")
    target = find_target("native")
    compile_network(network, (target,), Source(checkpoint, ()), PIXELS, artifact)
    return Recognizer(artifact).logits(PIXELS)


def test_so_do_its_integers(reduced: ReducedNetwork, tmp_path: Path) -> None:
    network = static_network(reduced, PIXELS)
    expected = network.expected(PIXELS)
    found = compiled(network, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())


def test_other_runtimes_compute_it_too(reduced: ReducedNetwork, tmp_path: Path) -> None:
    for network, write, images in (
        (pruned_network(reduced), network_to_onnx, normalise(PIXELS)),
        (static_network(reduced, PIXELS), quantized_to_onnx, PIXELS.transpose(0, 3, 1, 2)),
    ):
        path = tmp_path / f"{network.variant}.onnx"
        write(network, path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        inputs = {session.get_inputs()[0].name: images.astype(np.float32)}
        (found,) = session.run(None, inputs)
        expected = network.expected(PIXELS)
        close = np.isclose(found, expected, rtol=0, atol=0.02 * abs(expected).max())
        assert close.mean() > 0.99


def test_bfloat16_has_a_graph(reduced: ReducedNetwork) -> None:
    """Which tile registers alone run (`tests/relay_passes`)."""
    network = bf16_network(reduced)
    float32 = reduced.compact.logits(torch.from_numpy(normalise(PIXELS))).numpy()
    error = abs(network.expected(PIXELS) - float32).max() / abs(float32).max()
    assert 0 < error < 0.05
