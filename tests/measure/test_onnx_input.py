"""An ONNX file is evaluated as it is: on images, in the order and the alphabet that it has."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.measure.accuracy import evaluate
from lprnet.measure.backends import open_backend, reads_and_means
from lprnet.measure.onnx_input import read_input
from lprnet.model.alphabets import find_alphabet
from lprnet.model.checkpoint import Stated
from lprnet.model.preprocessing import normalise
from lprnet.runtime.decode import greedy
from lprnet.support.errors import UserError
from tests.onnx_import.exports import ExportedLPRNet, export, exported, logits_of

pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")

WIDE = (((5, 22), (5, 4)), ((5, 20), (5, 4)), ((4, 9), (4, 2)))


@pytest.fixture(scope="module")
def theirs() -> ExportedLPRNet:
    """37 classes, for images of 160x24."""
    return exported("planes", classes=37, pools=WIDE)


@pytest.fixture(scope="module")
def file(theirs: ExportedLPRNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(theirs, tmp_path_factory.mktemp("onnx") / "m.onnx", 13, width=160)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, 24, 160, 3), np.uint8)


def test_size_and_alphabet_are_those_of_the_file(
    file: Path, theirs: ExportedLPRNet, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    image_format, alphabet = reads_and_means(file)
    assert (image_format.shape, alphabet.name) == ((24, 160, 3), "latin")
    (plate,) = greedy(logits_of(theirs, torch.from_numpy(normalise(pixels))), alphabet)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / f"{plate.text}.png"), pixels[0])
    result, _ = evaluate(file, tmp_path / "images")
    assert (result.backend, result.correct, result.total) == ("onnxruntime", 1, 1)


@pytest.mark.parametrize(
    ("said", "flag"), [({"order": "rgb", "offset": [1, 2, 3], "scale": [0.01]}, None), ({}, "rgb")]
)
def test_pixels_are_normalised_as_is_said(
    said: dict[str, object],
    flag: str | None,
    file: Path,
    theirs: ExportedLPRNet,
    pixels: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"preprocessing": said}))
    stated = Stated(architecture=tmp_path / "a.json", order=flag)
    swapped = pixels[..., ::-1].astype(np.float64)
    read = (swapped - (1, 2, 3)) * 0.01 if said else (swapped - 127.5) / 128
    images = torch.from_numpy(read.transpose(0, 3, 1, 2).copy()).float()
    expected = logits_of(theirs, images)
    found = open_backend(file, "onnxruntime", stated)(pixels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        (Stated(alphabet="china"), "37 classes, .* china has 68; the known ones .* are latin"),
        (Stated(size=(94, 24)), "reads 160x24 images; leave out --size"),
    ],
)
def test_what_contradicts_the_file_is_refused(stated: Stated, sentence: str, file: Path) -> None:
    with pytest.raises(UserError, match=rf"m\.onnx.*{sentence}"):
        read_input(file, stated)


def test_an_open_size_and_open_classes_are_as_stated(file: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(file)
    for value in (*model.graph.input, *model.graph.output):
        for extent in value.type.tensor_type.shape.dim:
            extent.dim_param = "open"
    onnx.save(model, tmp_path / "open.onnx")
    found = read_input(tmp_path / "open.onnx", Stated(size=(128, 32), alphabet="russia"))
    assert found.image_format.shape == (32, 128, 3)
    assert found.alphabet == find_alphabet("russia")


def test_what_is_no_file_of_one_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08")
    with pytest.raises(UserError, match="is no ONNX file of one image and its logits"):
        read_input(tmp_path / "m.onnx", None)
