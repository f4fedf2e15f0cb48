"""Other LPRNets from checkpoint to plates: pairs of classes, widths, colours, sizes and targets.

Each goes through the whole build, whose artifact must compute what the network's own torch class
computes; the integers of static int8 are compared with their reference by the build itself.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lprnet.build import Request, build
from lprnet.model.architecture import Context
from lprnet.model.checkpoint import Stated, load_model, save_model
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import lprnet
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.artifact import missing_flags
from lprnet.runtime.recognizer import Recognizer
from lprnet.training.new_alphabet import with_alphabet
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

pytestmark = pytest.mark.usefixtures("few_calibration_images")

CLOSE = 1e-4
"""Of the largest logit, in float32."""


@dataclass(frozen=True)
class Row:
    """One network, and what is built of it."""

    alphabet: str
    classes: int
    widths: tuple[int, int, int, int, int] = (64, 128, 256, 256, 256)
    channels: int = 3
    size: tuple[int, int] = (94, 24)
    quantized: str | None = None
    target: str = "native"


ROWS = (
    Row("latin", 37, (48, 96, 192, 192, 192), 1, (128, 32), None, "broadwell"),
    Row("china-no-io", 66, (80, 160, 320, 320, 320), 3, (96, 48), None, "icelake-server"),
    Row("digits", 11, (32, 64, 128, 128, 128), 3, (160, 24), "weights", "broadwell"),
    Row("russia", 23, (48, 96, 192, 192, 192), 3, (128, 32), "static", "icelake-server"),
    Row("latin", 37, (32, 64, 128, 128, 128), 1, (94, 24), "static", "broadwell"),
)


def contexts_of(row: Row) -> list[Context]:
    return list(lprnet(CHINA, row.size[1], row.size[0]).contexts)


def architecture_file(row: Row, folder: Path) -> Path:
    """What the tensors do not say."""
    contexts = [vars(context) for context in contexts_of(row)]
    file = folder / "architecture.json"
    file.write_text(json.dumps({"width": row.size[0], "height": row.size[1], "contexts": contexts}))
    return file


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.alphabet}-{row.size}-{row.quantized}")
def test_a_network_is_built_and_read_as_torch_does(row: Row, tmp_path: Path) -> None:
    pools = [(context.kernel, context.stride) for context in contexts_of(row)[:3]]
    theirs = seeded(ThirdPartyLPRNet(row.classes, row.widths, row.channels, pools))
    checkpoint = tmp_path / "theirs.pth"
    torch.save(state_of(theirs), checkpoint)
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        cv2.imwrite(str(photos / f"{index}.png"), rng.integers(0, 256, (40, 150, 3), np.uint8))
    stated = Stated(architecture=architecture_file(row, tmp_path))
    calibration = photos if row.quantized else None
    request = Request(
        checkpoint, row.quantized, None, row.target, "manual", calibration, tmp_path, stated
    )
    built, _ = build(request)
    manifest = built.manifest
    assert (manifest.alphabet.name, manifest.alphabet.classes) == (row.alphabet, row.classes)
    assert manifest.image.shape == (row.size[1], row.size[0], row.channels)
    if missing_flags(manifest.target_versions[0]):
        assert built.parity is None
        return
    assert built.parity is not None
    reader = Recognizer(built.artifact)
    pixels = rng.integers(0, 256, (3, *manifest.image.shape), np.uint8)
    found = reader.logits(pixels)
    if row.quantized is None:
        with torch.no_grad():
            inputs = torch.from_numpy(normalise(pixels))
            expected = torch.cat([theirs(one[None]) for one in inputs]).numpy()
        assert np.abs(found - expected).max() < CLOSE * np.abs(expected).max()
    assert found.shape == (3, row.classes, lprnet(CHINA, row.size[1], row.size[0]).positions)
    plates = reader.read_many([str(path) for path in sorted(photos.iterdir())])
    known = set(manifest.alphabet.characters)
    assert all(one.text in known for plate in plates for one in plate.characters)


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
