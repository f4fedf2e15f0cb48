"""One case of the product: a network of plain torch, through `build` and `recognize`."""

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lprnet.commands.dispatch import execute
from lprnet.compression.calibration import read_images
from lprnet.model.architecture import Context
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import lprnet
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.artifact import missing_flags, read_manifest
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

PROJECT = Path(__file__).resolve().parents[2]
CLOSE = 1e-4
"""Of the largest logit, in float32."""
PUBLISHED_WIDTHS = (64, 128, 256, 256, 256)

ALPHABETS = {"66": 66, "37": 37, "36+blank": 37, "22": 22, "11": 11}
"""Names of the case to classes, the blank included; 36+blank and 22 come with a file."""
SCALES = {"x0.5": 0.5, "x0.75": 0.75, "x1.25": 1.25, "x1": 1.0}
COLOURS = {"bgr": 3, "grey": 1}
SIZES = {"94x24": (94, 24), "128x32": (128, 32), "96x48": (96, 48), "160x24": (160, 24)}
VARIANTS = {
    "fp32": [],
    "weights": ["--quantized=weights"],
    "static": ["--quantized=static"],
    "structured": ["--pruned=structured"],
}
TARGETS = ("broadwell", "icelake-server")


@dataclass(frozen=True)
class Case:
    """Names of `ALPHABETS`, `SCALES` and the others."""

    alphabet: str
    scale: str
    colours: str
    size: str
    variant: str
    target: str

    @property
    def name(self) -> str:
        return " ".join(vars(self).values())


CASES = [Case(*names) for names in product(ALPHABETS, SCALES, COLOURS, SIZES, VARIANTS, TARGETS)]


def check(case: Case, folder: Path) -> dict[str, float]:
    """Build `case` in the empty `folder` and read with it; what was measured.

    Raises `AssertionError` where torch computes something else, and whatever the build raises.
    """
    width, height = SIZES[case.size]
    channels, classes = COLOURS[case.colours], ALPHABETS[case.alphabet]
    contexts = lprnet(CHINA, height, width).contexts
    widths = [round(SCALES[case.scale] * count) for count in PUBLISHED_WIDTHS]
    pools = [(one.kernel, one.stride) for one in contexts[:3]]
    theirs = seeded(ThirdPartyLPRNet(classes, widths, channels, pools))
    torch.save(state_of(theirs), folder / "theirs.pth")
    photos = _photos(folder)
    arguments = ["build", f"--checkpoint={folder / 'theirs.pth'}", f"--target={case.target}"]
    arguments += [f"--output={folder}", *VARIANTS[case.variant], *_stated(case, contexts, folder)]
    if case.variant != "fp32":
        arguments.append(f"--calibration={photos}")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert not execute(arguments)
    (artifact,) = folder.glob("*.so")
    manifest = read_manifest(artifact)
    assert manifest.image.shape == (height, width, channels)
    assert manifest.alphabet.classes == classes
    (version,) = manifest.target_versions
    if missing_flags(version):
        _check_refused(artifact)
        return {"mmac": manifest.macs / 1e6}
    measured = {"mmac": manifest.macs / 1e6, "parity": _parity(artifact)}
    pixels = read_images(sorted(photos.iterdir()), manifest.image)
    found = Recognizer(artifact).logits(pixels)
    with torch.no_grad():
        inputs = torch.from_numpy(normalise(pixels))
        expected = torch.cat([theirs(one[None]) for one in inputs]).numpy()
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    measured["off_float"] = float(np.abs(found - expected).max() / np.abs(expected).max())
    assert case.variant != "fp32" or measured["off_float"] < CLOSE
    _check_recognized(artifact, photos)
    return measured


def _photos(folder: Path) -> Path:
    """Four images of noise."""
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        cv2.imwrite(str(photos / f"{index}.png"), rng.integers(0, 256, (40, 150, 3), np.uint8))
    return photos


def _stated(case: Case, contexts: tuple[Context, ...], folder: Path) -> list[str]:
    """The flags for what the tensors do not say."""
    flags = []
    if case.size != "94x24":
        width, height = SIZES[case.size]
        said = {"width": width, "height": height, "contexts": [vars(one) for one in contexts]}
        (folder / "architecture.json").write_text(json.dumps(said))
        flags.append(f"--architecture={folder / 'architecture.json'}")
    if case.alphabet in ("36+blank", "22"):
        count = ALPHABETS[case.alphabet] - 1
        symbols = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210"[:count]
        (folder / "symbols.txt").write_text("\n".join(("<blank>", *symbols)) + "\n")
        flags.append(f"--alphabet={folder / 'symbols.txt'}")
    return flags


def _parity(artifact: Path) -> float:
    """Of the build's own comparison with torch or the integer reference, as the manifest has it."""
    parity = read_manifest(artifact).target_versions[0].parity
    assert parity is not None
    assert parity.same_plates == parity.images
    return parity.relative_error


def _check_refused(artifact: Path) -> None:
    """This CPU cannot run it: one sentence says so."""
    with pytest.raises(UserError) as refused:
        Recognizer(artifact)
    assert "\n" not in str(refused.value)
    assert str(artifact) in str(refused.value)


def _check_recognized(artifact: Path, photos: Path) -> None:
    """`recognize` prints the texts of the artifact's logits."""
    command = [sys.executable, str(PROJECT / "scripts" / "recognize.py"), str(photos)]
    command += ["--json", "--no-grammar", "--artifact", str(artifact)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    reader = Recognizer(artifact)
    for image in json.loads(done.stdout)["images"]:
        (plate,) = reader.read_many([image["file"]], grammar=False)
        assert image["plates"][0]["text"] == plate.text
        assert set(plate.text) <= set("".join(reader.manifest.alphabet.symbols))
