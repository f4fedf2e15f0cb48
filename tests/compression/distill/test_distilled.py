"""A trained network is made once for what it depends on, and what ships is used where it fits."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lprnet.compression.distill import distilled as module
from lprnet.compression.distill.distilled import distilled, trained_before
from lprnet.compression.distill.result import network_key, write_result
from lprnet.compression.distill.teacher import Answers, compiled_answers, torch_answers
from lprnet.compression.distill.train import tensors
from lprnet.compression.prune.kept_widths import Keep
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.compression.variants import prepare
from lprnet.model.conv_graph import convolution
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.runtime.alphabet import Alphabet
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT

WIDTHS = {"backbone.0": 4, "backbone.4.block.2": 4}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 94, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def reduced() -> ReducedNetwork:
    torch.manual_seed(0)
    model = LPRNet(context_means=(0.1,) * 4).eval()
    with torch.no_grad():
        for layer in LPRNET_CHINA.backbone:
            torch.nn.init.kaiming_normal_(convolution(model, layer.name).weight)
            convolution(model, layer.name).weight[8:] = 0.0  # channels that cost no time here
    return reduce(model)


@pytest.fixture(autouse=True)
def _small_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "REFITTED_ON", 2)


@contextmanager
def uncompiled(reduced: ReducedNetwork, *_: object) -> Iterator[Answers]:
    """Torch's answers: nothing to wait for."""
    yield partial(torch_answers, reduced.compact)


def test_compiled_answers_are_torchs(reduced: ReducedNetwork, tmp_path: Path) -> None:
    """Of a float32 network, on images that it was not compared on when it was compiled."""
    checkpoint = tmp_path / "it.pth"
    checkpoint.write_bytes(b"weights")
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5, 24, 94, 3), np.uint8))
    with compiled_answers(reduced, checkpoint, IMAGES) as answers:
        found = answers(images)
    expected = torch_answers(reduced.compact, images)
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-4


def test_the_same_is_trained_once(
    reduced: ReducedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "compiled_answers", uncompiled)
    checkpoint = tmp_path / "it.pth"
    checkpoint.write_bytes(b"weights")
    first, how = distilled(reduced, reduced, checkpoint, IMAGES, WIDTHS, 1)
    assert "1 steps" in how
    assert len(first.biases["backbone.0"]) == 4
    (kept,) = (tmp_path / "cache" / "lprnet" / "distilled").iterdir()
    assert kept.suffix == ".safetensors"

    trained = []

    def count(*_: object, **__: object) -> object:
        trained.append(1)
        return first

    monkeypatch.setattr(module, "train", count)
    again, same = distilled(reduced, reduced, checkpoint, IMAGES, WIDTHS, 1)
    assert same == how
    assert not trained
    for name, tensor in tensors(first).items():
        torch.testing.assert_close(tensors(again)[name], tensor, rtol=0, atol=0)
    distilled(reduced, reduced, checkpoint, IMAGES[1:], WIDTHS, 1)
    distilled(reduced, reduced, checkpoint, IMAGES, {**WIDTHS, "backbone.0": 5}, 1)
    distilled(reduced, reduced, checkpoint, IMAGES, WIDTHS, 2)
    checkpoint.write_bytes(b"others")
    distilled(reduced, reduced, checkpoint, IMAGES, WIDTHS, 1)
    assert len(trained) == 4


def test_what_ships_is_found_by_the_checkpoint(
    reduced: ReducedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lprnet.compression.distill.result.DISTILLED", tmp_path)
    checkpoint = tmp_path / "it.pth"
    checkpoint.write_bytes(b"weights")
    key = network_key(b"weights", reduced.architecture, WIDTHS)
    write_result(tmp_path / "public.safetensors", reduced.compact, {"network": key})
    _, how = distilled(reduced, reduced, checkpoint, IMAGES, WIDTHS, None)
    assert how == "whole channels; trained before: public.safetensors"


def test_what_ships_as_pruned_stands_for_a_refit(
    reduced: ReducedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of that checkpoint alone; what ships for widths alone does not."""
    monkeypatch.setattr("lprnet.compression.distill.result.DISTILLED", tmp_path)
    checkpoint = tmp_path / "it.pth"
    checkpoint.write_bytes(b"weights")
    whole = network_key(b"weights", reduced.architecture, {})
    write_result(tmp_path / "a.safetensors", reduced.compact, {"network": whole})
    assert trained_before(reduced, checkpoint) is None
    write_result(tmp_path / "b.safetensors", reduced.compact, {"instead_of_refit": whole})
    found = trained_before(reduced, checkpoint)
    assert found is not None
    network, how = found
    assert how == "whole channels; trained before: b.safetensors"
    for name, tensor in tensors(network).items():
        torch.testing.assert_close(tensors(reduced.compact)[name], tensor, rtol=0, atol=0)
    checkpoint.write_bytes(b"others")
    assert trained_before(reduced, checkpoint) is None


def test_the_default_weights_are_pruned_to_what_ships_trained() -> None:
    """In every arithmetic; other widths are refitted or searched."""
    pruned = {
        quantized: prepare(DEFAULT_CHECKPOINT, None, quantized, "structured")[0].pruning
        for quantized in (None, "weights")
    }
    trained = "whole channels; trained before: default-structured.safetensors"
    assert pruned == {None: trained, "weights": trained}


def test_a_network_that_no_rendered_plate_teaches_is_refused() -> None:
    hexadecimal = Alphabet("hex", (*"0123456789ABCDEF", "-"), 16)
    model = LPRNet(lprnet(hexadecimal), context_means=(1.0,) * 4).eval()
    with pytest.raises(UserError, match=r"it\.pth does not read China's plates .* --distill"):
        distilled(reduce(model), reduce(model), Path("it.pth"), IMAGES, WIDTHS, 1)


def test_it_needs_structured_pruning() -> None:
    with pytest.raises(UserError, match="--pruned=structured"):
        prepare(DEFAULT_CHECKPOINT, None, "static", None, None, module.Distill())


def test_what_stays_needs_structured_pruning_too() -> None:
    with pytest.raises(UserError, match="--widths and --mmac say what --pruned=structured leaves"):
        prepare(DEFAULT_CHECKPOINT, None, "static", None, keep=Keep(mmac=20))
