"""The first batch norm of a checkpoint says which pixels it was trained on."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compression.calibration import calibration_files, read_images
from lprnet.compression.preprocessing_check import preprocessing_note
from lprnet.compression.variants import prepare
from lprnet.model.checkpoint import Stated, load_as_trained, load_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.pixel_format import Preprocessing
from lprnet.model.preprocessing import normalise
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.conftest import RealData
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

FILE = Path("theirs.pth")
BYTES = ((0.0,), (1 / 255,))
IMAGENET = ((123.675, 116.28, 103.53), (0.01712475, 0.017507, 0.01742919))


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(16)])


@pytest.fixture(scope="module")
def photographs(real_data: RealData) -> NDArray[np.uint8]:
    return read_images(calibration_files(real_data.images)[:32])


def planes(images: NDArray[np.uint8], pixels: Preprocessing) -> torch.Tensor:
    """`(N, C, H, W)`, as a network reads them that was trained on `pixels`."""
    ordered = images[..., ::-1] if pixels.order == "rgb" else images
    read = (ordered - np.array(pixels.offset)) * np.array(pixels.scale)
    return torch.from_numpy(read.transpose(0, 3, 1, 2).copy()).float()


def trained_on(pixels: Preprocessing, images: NDArray[np.uint8], folder: Path) -> Path:
    """A checkpoint with random weights and the batch-norm statistics of `images`, each image made
    brighter or darker, as augmentation does.
    """
    theirs = seeded(ThirdPartyLPRNet(68, (64, 16, 16, 16, 16), images.shape[-1]))
    light = np.random.default_rng(1).uniform(0.7, 1.2, (len(images), 1, 1, 1))
    convolution, norm = theirs.backbone[0], theirs.backbone[1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    norm.reset_running_stats()
    norm.momentum = None  # the plain average
    with torch.no_grad():
        norm.train()(convolution(planes((images * light).clip(0, 255), pixels)))
    path = folder / "theirs.pth"
    torch.save(state_of(theirs.eval()), path)
    return path


PIXELS = {
    "ours": Preprocessing(),
    "ours, rgb": Preprocessing("rgb"),
    "p / 255": Preprocessing("bgr", *BYTES),
    "p / 255, rgb": Preprocessing("rgb", *BYTES),
    "ImageNet": Preprocessing("rgb", *IMAGENET),
    "p": Preprocessing("bgr", (0.0,), (1.0,)),
}


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        (trained, said)
        for trained in PIXELS
        for said in ("ours", "p / 255, rgb")
        if trained.removesuffix(", rgb") != said.removesuffix(", rgb")
    ],
)
def test_the_pixels_of_the_training_are_named(
    trained: str, said: str, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Where the normalisation is another one, whatever the order of colours."""
    pixels, wrong = PIXELS[trained], PIXELS[said]
    model = load_as_trained(trained_on(pixels, images, tmp_path))
    model.architecture = replace(model.architecture, preprocessing=pixels)
    assert preprocessing_note(model, images, FILE) is None
    model.architecture = replace(model.architecture, preprocessing=wrong)
    note = preprocessing_note(model, images, FILE)
    assert note is not None
    assert note.startswith("theirs.pth seems to be trained on other pixels: ")
    assert "\n" not in note
    # What it says to give is what it was trained on.
    assert ("--channels" in note) == (pixels.order != wrong.order)
    assert f"--channels {pixels.order}" in note or pixels.order == wrong.order
    assert "--architecture FILE" in note
    given = json.loads(note[note.index("{") : note.rindex("}") + 1])["preprocessing"]
    np.testing.assert_allclose(given["offset"], pixels.offset, rtol=1e-4)
    np.testing.assert_allclose(given["scale"], pixels.scale, rtol=1e-4)


def test_swapped_colours_name_their_flag_alone(images: NDArray[np.uint8]) -> None:
    note = preprocessing_note(load_as_trained(DEFAULT_CHECKPOINT), images[..., ::-1], FILE)
    assert note is not None
    assert note.endswith("; if it was, give --channels rgb")


def test_a_grey_network_has_no_order_of_colours(images: NDArray[np.uint8], tmp_path: Path) -> None:
    grey = images.mean(axis=3, keepdims=True).astype(np.uint8)
    path = trained_on(Preprocessing("bgr", *BYTES), grey, tmp_path)
    note = preprocessing_note(load_as_trained(path), grey, FILE)
    assert note is not None
    assert "read as p / 255; " in note
    assert "--channels" not in note


def reading_bytes(model: LPRNet) -> LPRNet:
    """`model` in place, which reads p / 255 after it and computes the same of it: no pixel lies on
    a border, because the first convolution is not padded.
    """
    first = model.get_submodule("backbone.0")
    assert isinstance(first, torch.nn.Conv2d)
    assert first.bias is not None
    with torch.no_grad():
        first.bias -= first.weight.sum(dim=(1, 2, 3)) * (127.5 / 128)
        first.weight *= 255 / 128
    return model


def test_what_fits_is_not_mentioned(
    images: NDArray[np.uint8], photographs: NDArray[np.uint8], real_data: RealData
) -> None:
    """Nor darker, brighter, or no images at all."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 94, 3), dtype=np.uint8)
    for path in (DEFAULT_CHECKPOINT, real_data.checkpoint):
        model = load_as_trained(path)
        for given in (images, photographs, photographs // 2, photographs // 2 + 127, noise):
            assert preprocessing_note(model, given, FILE) is None


def test_the_public_checkpoint_made_to_read_bytes(
    photographs: NDArray[np.uint8], real_data: RealData
) -> None:
    model = reading_bytes(load_as_trained(real_data.checkpoint))
    note = preprocessing_note(model, photographs, FILE)
    assert note is not None
    assert "read as p / 255, in the order bgr; " in note


def test_the_flags_make_the_same_logits(images: NDArray[np.uint8], tmp_path: Path) -> None:
    """Of the weights that ship, made to read p / 255."""
    path, said = tmp_path / "theirs.pth", tmp_path / "said.json"
    torch.save(reading_bytes(load_model(DEFAULT_CHECKPOINT)).state_dict(), path)
    note = preprocessing_note(load_as_trained(path), images, path)
    assert note is not None
    said.write_text(note[note.index("{") : note.rindex("}") + 1])
    stated = Stated(architecture=said)
    assert preprocessing_note(load_as_trained(path, stated), images, path) is None
    inputs = torch.from_numpy(normalise(images[:4]))
    with torch.no_grad():
        expected = load_model(DEFAULT_CHECKPOINT)(inputs).numpy()
        found = load_model(path, stated)(inputs).numpy()
        without = load_model(path)(inputs).numpy()
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.abs(without - expected).max() > 0.01 * np.abs(expected).max()  # 100 times as far


def test_a_build_says_it_first_of_all(images: NDArray[np.uint8], tmp_path: Path) -> None:
    """And not that the confidence is low, as it is with random weights."""
    path = trained_on(PIXELS["p / 255"], images, tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    for index, image in enumerate(images[:4]):
        cv2.imwrite(str(photos / f"{index}.png"), image)
    (note,) = prepare(path, photos, None)[0].notes
    assert note.startswith(f"{path} seems to be trained on other pixels: ")
