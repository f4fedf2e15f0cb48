"""A user's labels: by file name or by CSV, and which ones are refused before training."""

import unicodedata
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from lprnet.model.alphabets import find_alphabet
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.support.errors import UserError
from lprnet.training.labelled_images import read_labelled

Form = Literal["NFC", "NFD"]
LATIN = lprnet(find_alphabet("latin"))


def images(folder: Path, *names: str) -> Path:
    """Noise of different sizes under these names."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    for number, name in enumerate(names):
        picture = rng.integers(0, 256, (30 + number, 100, 3), np.uint8)
        cv2.imwrite(str(folder / name), picture)
    return folder


def test_labels_are_in_the_file_names(tmp_path: Path) -> None:
    folder = images(tmp_path / "p", "AA.png", "AB123_1.jpg", "X-7.png", "ABCDEFGHIJK.png")
    read = read_labelled(folder, LATIN)
    assert read.texts == ["AA", "AB123", "ABCDEFGHIJK", "X"]
    assert read.images.shape == (4, 24, 94, 3)
    assert read.names[0] == str(folder / "AA.png")


def test_labels_are_in_a_csv_file(tmp_path: Path) -> None:
    images(tmp_path / "p", "1.png", "2.png", "3.png")
    table = tmp_path / "labels.csv"
    table.write_bytes(
        b'\xef\xbb\xbffile,text\r\np/1.png,AA\r\n\r\n"p/3.png", A1B2C3D4E5F \r\np/2.png,7\r\n'
    )
    read = read_labelled(table, LATIN)
    assert read.texts == ["AA", "A1B2C3D4E5F", "7"]
    assert [Path(name).name for name in read.names] == ["1.png", "3.png", "2.png"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("of_alphabet", ["NFC", "NFD"])
def test_labels_in_the_other_form_of_unicode(form: Form, of_alphabet: Form, tmp_path: Path) -> None:
    """A letter and its accents are one character or several, as in names of files from a Mac."""
    symbols = unicodedata.normalize(of_alphabet, "Ї\nЄ\n1\n<blank>\n")
    (tmp_path / "mine.txt").write_text(symbols, encoding="utf-8")
    architecture = lprnet(find_alphabet(str(tmp_path / "mine.txt")))
    name = unicodedata.normalize(form, "ЇЄ1")
    folder = images(tmp_path / "p", f"{name}.png")
    (tmp_path / "labels.csv").write_text(f"file,text\np/{name}.png,{name}\n", encoding="utf-8")
    for source in (folder, tmp_path / "labels.csv"):
        (text,) = read_labelled(source, architecture).texts
        assert text == unicodedata.normalize(of_alphabet, "ЇЄ1")


def test_the_longest_label_is_one_that_ctc_can_emit(tmp_path: Path) -> None:
    """18 positions: 18 different characters fit, 9 equal ones and the 8 blanks between, not 10."""
    folder = images(tmp_path / "p", "0123456789ABCDEFGH.png", "777777777.png")
    assert len(read_labelled(folder, LATIN).texts) == 2
    images(folder, "7777777777.png")
    with pytest.raises(UserError, match=r"7777777777\.png: .* takes 19 positions.* has 18"):
        read_labelled(folder, LATIN)


def test_bad_labels_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    images(tmp_path, "1.png")
    table = tmp_path / "labels.csv"
    table.write_text("file,text\n1.png,AB1\n1.png,AÖ1\n1.png,\n1.png,ab\n", encoding="utf-8")
    message = r"3 of 4 labels of .*csv cannot .* being .*1\.png: .*'AÖ1'.*'Ö' is no character"
    with pytest.raises(UserError, match=message):
        read_labelled(table, LATIN)
    table.write_text("file,text\n1.png,AB1\n")
    with pytest.raises(UserError, match="no plate by the alphabet's grammar"):
        read_labelled(_with(table, "京A123"), LPRNET_CHINA)


def _with(table: Path, text: str) -> Path:
    table.write_text(f"file,text\n1.png,{text}\n", encoding="utf-8")
    return table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists no labels"),
        (b"file,text\n", "lists no labels"),
        (b"file,text\r\n\r\n\r\n", "lists no labels"),
        (b"1.png,AB1\n", "lists no labels"),
        (b"file,text\n1.png\n", "1 fields in line 2"),
        (b"file,text\n1.png,A,B\n", "3 fields in line 2"),
        (b"file,text\n\xff.png,A\n", "save it as UTF-8"),
        (b"file,text\nabsent.png,A\n", "absent.png is missing"),
    ],
)
def test_a_csv_file_that_is_none_is_one_sentence(
    content: bytes, message: str, tmp_path: Path
) -> None:
    images(tmp_path, "1.png")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_labelled(tmp_path / "labels.csv", LATIN)


def test_a_seeded_tenth_is_held_out(tmp_path: Path) -> None:
    names = [f"A{number}.png" for number in range(25)]
    read = read_labelled(images(tmp_path / "p", *names), LATIN)
    train, held_out = read.split(7)
    assert (len(train.texts), len(held_out.texts)) == (23, 2)
    assert sorted(train.texts + held_out.texts) == sorted(read.texts)
    for part in (train, held_out):
        for image, text in zip(part.images, part.texts, strict=True):
            np.testing.assert_array_equal(image, read.images[read.texts.index(text)])
    assert read.split(7)[1].texts == held_out.texts
    assert {tuple(read.split(seed)[1].texts) for seed in range(5)} != {tuple(held_out.texts)}
