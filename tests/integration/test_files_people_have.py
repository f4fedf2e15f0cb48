"""The kinds of files that public repositories hold, each made here and built to the end, or shown
to be the same network as one that is.

`docs/other-networks.md` lists them. Refusals are in
`tests/model/test_third_party_checkpoints.py` and `tests/onnx_import/test_idioms.py`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.build import Request, build
from lprnet.compiler.compile import Build
from lprnet.model.checkpoint import Stated, load_model
from lprnet.runtime.decode import greedy
from lprnet.runtime.recognizer import Recognizer
from tests.onnx_import.exports import export, exported, logits_of
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

pytestmark = pytest.mark.usefixtures("few_calibration_images")

CLOSE = 1e-4
"""Of the largest logit, in float32."""
SAME_INTEGERS = 1e-5
"""Of the largest logit: integers that are off by one make more, the container's float32 less."""
NARROW = (8, 16, 16, 16, 16)
SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of noise."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, 256, (40, 150, 3), np.uint8))
    return folder


@dataclass(frozen=True)
class Head:
    """A network of `classes`, its blank included, which is class number `blank`."""

    classes: int
    blank: int
    widths: tuple[int, int, int, int, int] = NARROW
    channels: int = 3
    quantized: str | None = None


HEADS = (
    Head(22, 21, (50, 100, 200, 200, 200), 1),
    Head(28, 0, quantized="static"),
    Head(36, 17),
    Head(12, 11, (48, 96, 192, 192, 192), 1, "static"),
)
"""Counts that no known alphabet has; their symbols come in a file."""


@pytest.mark.parametrize("head", HEADS, ids=lambda head: f"{head.classes}-{head.quantized}")
def test_heads_with_an_alphabet_of_their_own(head: Head, photos: Path, tmp_path: Path) -> None:
    theirs = seeded(ThirdPartyLPRNet(head.classes, head.widths, head.channels))
    checkpoint = tmp_path / "车牌 识别.pth"
    torch.save(state_of(theirs), checkpoint)
    symbols = list(SYMBOLS[: head.classes - 1])
    symbols.insert(head.blank, "<blank>")
    (tmp_path / "symbols.txt").write_text("\n".join(symbols) + "\n")
    stated = Stated(alphabet=str(tmp_path / "symbols.txt"))
    built = built_from(checkpoint, stated, head.quantized, photos, tmp_path)
    assert built.manifest.alphabet.blank == head.blank
    assert built.manifest.alphabet.classes == head.classes
    if head.quantized is None:
        assert_computes(built, theirs, lambda pixels: (pixels - 127.5) / 128)


def test_letterboxed_images_from_zero_to_one_in_the_other_order(
    photos: Path, tmp_path: Path
) -> None:
    theirs = seeded(ThirdPartyLPRNet(37, NARROW))
    torch.save(state_of(theirs), tmp_path / "theirs.pth")
    preprocessing = {"order": "rgb", "offset": [0], "scale": [1 / 255], "fit": "letterbox"}
    said = {"preprocessing": {**preprocessing, "border": 9}}
    (tmp_path / "said.json").write_text(json.dumps(said))
    stated = Stated(architecture=tmp_path / "said.json")
    built = built_from(tmp_path / "theirs.pth", stated, None, photos, tmp_path)
    assert (built.manifest.image.fit, built.manifest.image.border) == ("letterbox", 9)
    assert_computes(built, theirs, lambda pixels: pixels[..., ::-1] / 255)
    # A square photograph stands in the middle, 24 of 94 columns.
    square = np.full((60, 60, 3), 200, np.uint8)
    boxed = np.full((1, 24, 94, 3), 9, np.uint8)
    boxed[:, :, 35:59] = 200
    cv2.imwrite(str(tmp_path / "square.png"), square)
    reader = Recognizer(built.artifact)
    (plate,) = reader.read_many([str(tmp_path / "square.png")], grammar=False)
    (expected,) = greedy(reader.logits(boxed), built.manifest.alphabet)
    assert plate.text == expected.text
    assert plate.confidence == pytest.approx(expected.confidence)


@pytest.mark.parametrize("quantized", [None, "static"])
@pytest.mark.parametrize("form", ["plain", "planes"])
def test_both_forms_of_onnx(form: str, quantized: str | None, photos: Path, tmp_path: Path) -> None:
    """With 78 classes, which need a file of symbols."""
    theirs = exported(form, classes=78)
    path = export(theirs, tmp_path / "theirs.onnx", 11)
    symbols = [chr(0x4E00 + index) for index in range(77)]
    (tmp_path / "symbols.txt").write_text("\n".join((*symbols, "<blank>")), encoding="utf-8")
    stated = Stated(alphabet=str(tmp_path / "symbols.txt"))
    built = built_from(path, stated, quantized, photos if quantized else None, tmp_path)
    if quantized is None:
        assert_computes(built, theirs, lambda pixels: (pixels - 127.5) / 128)


WRAPPERS: dict[str, Callable[[Any], object]] = {
    "net_state_dict, iters": lambda state: {"net_state_dict": state, "iters": 9},
    "net_state_dict, epoch": lambda state: {"epoch": 3, "net_state_dict": state},
    "epoch, lpr, st": lambda state: {"epoch": 3, "lpr": state, "st": transformer()},
    "state_dict": lambda state: {"state_dict": state, "optimizer": {"state": {}}},
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "container itself": lambda state: {
        name.replace("container.0", "container"): value for name, value in state.items()
    },
}


def transformer() -> dict[str, torch.Tensor]:
    """A spatial transformer's state dict, of 55,430 values."""
    shapes = {
        "localization.0.weight": (32, 3, 3, 3),
        "localization.0.bias": (32,),
        "localization.3.weight": (32, 32, 5, 5),
        "localization.3.bias": (32,),
        "fc_loc.0.weight": (32, 32 * 14 * 2),
        "fc_loc.0.bias": (32,),
        "fc_loc.2.weight": (6, 32),
        "fc_loc.2.bias": (6,),
    }
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_network_is_the_bare_one(wrapper: str, tmp_path: Path) -> None:
    """Tensor for tensor, so its artifact is that of the bare state dict."""
    state = state_of(seeded(ThirdPartyLPRNet(37, NARROW)))
    torch.save(state, tmp_path / "bare.pth")
    torch.save(WRAPPERS[wrapper](state), tmp_path / "wrapped.pth")
    bare, wrapped = (load_model(tmp_path / f"{name}.pth") for name in ("bare", "wrapped"))
    assert wrapped.architecture == bare.architecture
    tensors = bare.state_dict()
    assert list(wrapped.state_dict()) == list(tensors)
    assert all(torch.equal(tensors[name], one) for name, one in wrapped.state_dict().items())


def built_from(
    checkpoint: Path,
    stated: Stated,
    quantized: str | None,
    photos: Path | None,
    folder: Path,
) -> Build:
    calibration = photos if quantized else None
    request = Request(checkpoint, quantized, None, "native", "manual", calibration, folder, stated)
    built, _ = build(request)
    assert built.parity is not None
    assert built.parity.same_plates == built.parity.images
    assert built.parity.relative_error < (SAME_INTEGERS if quantized else CLOSE)
    return built


def assert_computes(
    built: Build,
    theirs: torch.nn.Module,
    read: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    """The artifact gives the logits of `theirs` on pixels as `read` normalises them."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, *built.manifest.image.shape), np.uint8)
    inputs = read(pixels.astype(np.float64)).transpose(0, 3, 1, 2).copy()
    expected = logits_of(theirs, torch.from_numpy(inputs).float())
    found = Recognizer(built.artifact).logits(pixels)
    assert np.abs(found - expected).max() < CLOSE * np.abs(expected).max()
