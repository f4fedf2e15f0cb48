"""Builds of what a user should not have, but has: an artifact that is right, or one sentence."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.build import Request, build
from lprnet.model.architecture_json import to_json
from lprnet.model.checkpoint import Stated, load_model
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA, resized
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT

pytestmark = pytest.mark.usefixtures("few_calibration_images")


def request(
    model: LPRNet, quantized: str | None, calibration: Path | None, folder: Path
) -> Request:
    """A build of `model` for this machine."""
    checkpoint = folder / "checkpoint.pth"
    torch.save(model.state_dict(), checkpoint)
    return Request(
        checkpoint=checkpoint,
        quantized=quantized,
        pruned=None,
        target="native",
        schedule="manual",
        calibration=calibration,
        output=folder / "build",
    )


def photographs(folder: Path, images: list[NDArray[np.uint8]]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def hostile_inputs() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (24, 94, 3), dtype=np.uint8)
    return np.stack([noise, np.zeros_like(noise), np.full_like(noise, 255)])


@pytest.mark.parametrize("quantized", ["static", "weights"])
def test_dead_channels_calibrated_on_one_grey_image(quantized: str, tmp_path: Path) -> None:
    """Channels of zeros, a whole layer's among them, have no scale of their own; one constant image
    moves none of the others. `build` compares the artifact with torch on that image.
    """
    model = load_model(DEFAULT_CHECKPOINT)
    with torch.no_grad():
        for name, rows in (("backbone.4.block.2", 5), ("backbone.11.block.0", None)):
            weight, bias = weight_and_bias(model, name)
            weight[:rows] = 0.0
            bias[:rows] = 0.0
    grey = photographs(tmp_path / "grey", [np.full((24, 94, 3), 128, np.uint8)])
    built, _ = build(request(model, quantized, grey, tmp_path))
    assert built.parity is not None
    assert built.parity.same_plates == built.parity.images == 1
    assert np.isfinite(Recognizer(built.artifact).logits(hostile_inputs())).all()


@pytest.mark.parametrize(
    ("quantized", "sentence"),
    [(None, "in PyTorch too"), ("static", "context map 4 of 4 has a mean square of 0")],
)
def test_a_last_layer_without_channels(
    quantized: str | None, sentence: str, tmp_path: Path
) -> None:
    """Its context map is 0 everywhere, and the norm divides by the mean of its squares."""
    model = load_model(DEFAULT_CHECKPOINT)
    with torch.no_grad():
        for parameter in model.get_submodule("backbone.21").parameters():
            parameter.zero_()
    with pytest.raises(UserError, match=sentence):
        build(request(model, quantized, None, tmp_path))
    assert not list((tmp_path / "build").glob("*"))


@pytest.mark.parametrize("quantized", [None, "static", "weights"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, quantized: str | None, tmp_path: Path) -> None:
    model = load_model(DEFAULT_CHECKPOINT)
    with torch.no_grad():
        weight_and_bias(model, "backbone.8.block.2")[0][3, 2] = value
    with pytest.raises(UserError, match=r"checkpoint\.pth: backbone\.8\.block\.2\.weight holds"):
        build(request(model, quantized, None, tmp_path))
    assert not (tmp_path / "build").exists()


def test_an_empty_folder_calibrates_nothing(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    model = load_model(DEFAULT_CHECKPOINT)
    with pytest.raises(UserError, match="none"):
        build(request(model, "static", tmp_path / "none", tmp_path))
    assert not (tmp_path / "build").exists()


def test_a_max_pool_that_no_kernel_covers(tmp_path: Path) -> None:
    """An architecture file may say any pool; found by `python -m tests.differential`."""
    conv = LPRNET_CHINA.backbone[1]
    assert conv.pool is not None
    backbone = list(LPRNET_CHINA.backbone)
    backbone[1] = replace(conv, pool=replace(conv.pool, kernel=(2, 2)))
    architecture = resized(replace(LPRNET_CHINA, backbone=tuple(backbone)), 24, 94)
    file = tmp_path / "architecture.json"
    file.write_text(to_json(architecture))
    asked = request(LPRNet(architecture), None, None, tmp_path)
    with pytest.raises(UserError, match=r"checkpoint\.pth: its max pool of 2x2 windows") as refused:
        build(replace(asked, stated=Stated(architecture=file)))
    assert "\n" not in str(refused.value)
    assert not asked.output.exists()
