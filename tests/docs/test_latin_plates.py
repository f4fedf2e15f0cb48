"""The plates of a made-up country, which the page on other networks trains on."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from lprnet.model.alphabets import find_alphabet
from lprnet.model.published_lprnet import lprnet
from lprnet.training.labelled_images import read_labelled

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def latin_plates() -> ModuleType:
    spec = importlib.util.spec_from_file_location("latin_plates", DOCS / "latin_plates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_written_can_be_trained_on(latin_plates: ModuleType, tmp_path: Path) -> None:
    latin_plates.write(tmp_path / "plates", 20, seed=1)
    alphabet = find_alphabet(str(tmp_path / "plates.txt"))
    assert alphabet.classes == 35
    read = read_labelled(tmp_path / "plates", lprnet(alphabet))
    assert len(read.texts) == 20
    assert all(alphabet.is_plate(text) and len(text) == 7 for text in read.texts)
    latin_plates.write(tmp_path / "others", 20, seed=2)
    others = read_labelled(tmp_path / "others", lprnet(alphabet))
    assert not {image.tobytes() for image in read.images} & {i.tobytes() for i in others.images}
