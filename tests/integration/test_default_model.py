"""The weights that ship: small, readable, and as good as their model card says."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler.targets import PORTABLE
from lprnet.model.checkpoint import load_model
from lprnet.runtime.decode import greedy
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import label_of, list_images
from lprnet.runtime.recognizer import Recognizer
from lprnet.synthetic.render import SAMPLE_SEED, sample_plates
from lprnet.training.network_slimming import live_channels, narrow
from lprnet.training.recipe import Recipe
from lprnet.training.validation import SEED
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.conftest import RealData
from tests.prepared import default_artifact
from tests.shared_results import SharedResults


@pytest.fixture(scope="module")
def reader(shared_results: SharedResults) -> Recognizer:
    """The artifact that a build makes of the default model."""
    return Recognizer(shared_results.call(default_artifact, PORTABLE, shared_results.folder))


def exact(reader: Recognizer, images: Sequence[NDArray[np.uint8]], texts: Sequence[str]) -> int:
    """How many of `images` `(24, 94, 3)` uint8 are read without any mistake."""
    found = greedy(reader.logits(np.stack(images)))
    return sum(text == one.text for text, one in zip(texts, found, strict=True))


def test_the_file_is_small_and_half_of_the_channels_dead() -> None:
    assert DEFAULT_CHECKPOINT.stat().st_size <= 2_000_000
    full = load_model(DEFAULT_CHECKPOINT)
    small = narrow(full, live_channels(full)).eval()
    images = torch.from_numpy(np.stack([image for image, _ in sample_plates(4)]))
    pixels = (images.permute(0, 3, 1, 2).float() - 127.5) / 128
    with torch.no_grad():
        torch.testing.assert_close(small(pixels), full(pixels), rtol=1e-3, atol=1e-3)
    parameters = sum(p.numel() for p in small.parameters())
    assert parameters < 0.6 * sum(p.numel() for p in full.parameters())


def test_it_reads_99_percent_of_2000_unseen_rendered_plates(reader: Recognizer) -> None:
    assert len({SAMPLE_SEED, SEED, Recipe(steps=1).seed}) == 3
    assert exact(reader, *zip(*sample_plates(2000), strict=True)) >= 1980


def test_it_reads_90_percent_of_the_real_plates(reader: Recognizer, real_data: RealData) -> None:
    paths = list_images([str(real_data.images)])
    assert len(paths) == 1000
    images = [read_image(path) for path in paths]
    assert exact(reader, images, [label_of(path) for path in paths]) >= 900
