"""A build says where calibration images read as if their pixels or the alphabet were others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.compression.input_check import input_notes
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.runtime.alphabet import CHINA
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT

FILE = Path("theirs.pth")


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(32)])


@pytest.fixture
def model() -> LPRNet:
    return load_model(DEFAULT_CHECKPOINT)


def test_what_fits_is_not_mentioned(model: LPRNet, images: NDArray[np.uint8]) -> None:
    assert input_notes(model, images, FILE) == ()


def test_swapped_colours_name_their_flag(model: LPRNet, images: NDArray[np.uint8]) -> None:
    (note,) = input_notes(model, images[..., ::-1], FILE)
    assert note.startswith("theirs.pth reads the calibration images better with red and blue swap")
    assert note.endswith("--channels")


def test_low_confidence_names_what_to_check(model: LPRNet) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 94, 3), dtype=np.uint8)
    (note,) = input_notes(model, noise, FILE)
    assert "which is low" in note
    assert "--architecture" in note


def test_another_alphabet_names_its_flag(model: LPRNet, images: NDArray[np.uint8]) -> None:
    """Of as many classes, whose grammar the texts break."""
    characters = CHINA.symbols[:-1]
    turned = replace(CHINA, name="turned", symbols=(*characters[31:], *characters[:31], "-"))
    model.architecture = replace(model.architecture, alphabet=turned)
    (note,) = input_notes(model, images, FILE)
    assert note.startswith("only 0% of the texts that theirs.pth reads")
    assert "alphabet turned" in note
    assert note.endswith("--alphabet")


@pytest.mark.parametrize("grammar", [CHINA.grammar, None])
def test_another_blank_names_the_class(
    grammar: str | None, model: LPRNet, images: NDArray[np.uint8]
) -> None:
    """No confidence shows it, and without a grammar no text does."""
    marked = replace(CHINA, name="marked", blank=0, grammar=None)
    if grammar is not None:
        marked = replace(marked, symbols=("-", *CHINA.symbols[:-1]), grammar=grammar)
    model.architecture = replace(model.architecture, alphabet=marked)
    (note,) = input_notes(model, images, FILE)
    assert note.startswith("theirs.pth reads class 67, counted from 0, at ")
    assert f"has {marked.symbols[67]!r} there and its blank at class 0" in note
    assert note.endswith("--alphabet")
