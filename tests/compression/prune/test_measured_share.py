"""How many single weights go is measured: no network is pruned until it reads nothing."""

import copy

import numpy as np
import pytest
import torch

from lprnet.compression.prune.measured_share import PARTS, prune_by_loss
from lprnet.compression.prune.prune import unstructured
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.runtime.ctc import best_path
from lprnet.synthetic.render import render, sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT


@pytest.fixture(scope="module")
def model() -> LPRNet:
    return load_model(DEFAULT_CHECKPOINT)


def texts(model: LPRNet, images: list[np.ndarray]) -> list[tuple[int, ...]]:
    with torch.inference_mode():
        logits = model(torch.from_numpy(normalise(np.stack(images)))).numpy()
    return [labels for labels, _ in best_path(logits)]


@pytest.mark.parametrize("parts", [0, 11, 18])
def test_the_largest_share_without_a_loss_is_found(model: LPRNet, parts: int) -> None:
    images = np.stack([image for image, _ in sample_plates(1)])

    def prune(model: LPRNet, share: float) -> LPRNet:
        pruned = copy.deepcopy(model)
        if share * PARTS > parts + 0.5:
            with torch.no_grad():
                for parameter in pruned.parameters():
                    parameter.zero_()
        return pruned

    pruned, share = prune_by_loss(model, images, prune)
    assert share == parts / PARTS
    assert texts(pruned, list(images)) == texts(model, list(images))


def test_a_network_of_living_channels_still_reads(model: LPRNet) -> None:
    """Without 90 % of its weights the default model reads not one plate."""
    chosen = np.stack([image for image, _ in sample_plates(12)])
    fresh = [render(71_000_002, index)[0] for index in range(25)]
    pruned, share = prune_by_loss(model, chosen, lambda one, part: unstructured(one, 0.9 * part))
    assert 0.4 < share < 0.9
    expected = texts(model, fresh)
    same = sum(a == b for a, b in zip(texts(pruned, fresh), expected, strict=True))
    assert same >= 24
    gone = texts(unstructured(model, 0.9), fresh)
    assert sum(a == b for a, b in zip(gone, expected, strict=True)) == 0
