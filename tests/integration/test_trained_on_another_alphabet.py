"""Another LPRNet that training here made, from its checkpoint to logits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lprnet.build import Request, build
from lprnet.model.checkpoint import load_model, save_model
from lprnet.model.preprocessing import normalise
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.recognizer import Recognizer
from lprnet.training.new_alphabet import with_alphabet
from lprnet.weights import DEFAULT_CHECKPOINT

pytestmark = pytest.mark.usefixtures("few_calibration_images")

CLOSE = 1e-4
"""Of the largest logit, in float32."""


def test_a_network_trained_on_another_alphabet_is_built_without_a_flag(tmp_path: Path) -> None:
    """The checkpoint says alphabet, grammar and size, and the manifest says them after it."""
    grammar = "[A-C]{2}[0-9]{1,3}"
    alphabet = Alphabet("mine", ("-", *"CBA", *"0123456789"), 0, grammar)
    model = with_alphabet(load_model(DEFAULT_CHECKPOINT), alphabet, (128, 32))
    save_model(model, tmp_path / "trained.safetensors")
    request = Request(
        tmp_path / "trained.safetensors", None, None, "native", "manual", None, tmp_path
    )
    built, _ = build(request)
    assert built.manifest.alphabet == alphabet
    assert built.manifest.image.shape == (32, 128, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 128, 3), np.uint8)
    found = Recognizer(built.artifact).logits(pixels)
    with torch.no_grad():
        expected = model(torch.from_numpy(normalise(pixels))).numpy()
    assert np.abs(found - expected).max() < CLOSE * np.abs(expected).max()
