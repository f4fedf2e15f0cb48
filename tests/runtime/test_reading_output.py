"""File names of any bytes in text, CSV and JSON."""

import base64
import csv
import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.runtime.decode import Plate
from lprnet.runtime.reading_output import CSV_HEADER, Reading, as_csv, as_json, as_text

PLATES = (Plate("皖A", 0.9, ("皖", "A"), (0.95, 0.9)),)
NASTY = (
    b"caf\xe9.jpg",
    b"two\nlines.jpg",
    b"tab\there.jpg",
    b"\x1b[31mred.jpg",
    b"return\r.jpg",
    b'quote",comma.jpg',
    b"\x9b31m.jpg",
    "\N{LINE SEPARATOR}牌.jpg".encode(),
)


def names() -> st.SearchStrategy[bytes]:
    return st.binary(min_size=1).map(lambda name: name.translate(None, b"\0/") or b"a")


@pytest.mark.parametrize("name", NASTY)
def test_nasty_names(name: bytes) -> None:
    check(name)


@given(names())
def test_any_name(name: bytes) -> None:
    check(name)


def check(name: bytes) -> None:
    file = os.fsdecode(name)
    reading = Reading(file, PLATES, None)
    broken = Reading(file, (), f"the image file {file} is missing")
    text = as_text(reading)
    assert text.encode()
    assert text.count("\n") == 1
    assert len(text.split("\t")) == 4
    assert text == text.translate(dict.fromkeys((*range(9), *range(11, 32), 127)))
    assert as_text(Reading(file, PLATES, rejected=True)).endswith("\trejected\n")
    (row,) = csv.reader(io.StringIO(as_csv(reading), newline=""))
    assert len(row) == len(CSV_HEADER)
    utf8 = name.decode(errors="replace") == name.decode(errors="ignore")
    if utf8:
        assert row[0] == file
    assert as_csv(reading).encode()
    content = json.loads(as_json(file, [reading, broken], grammar=True).encode().decode())
    one, two = content["images"]
    assert one["plates"][0]["text"] == "皖A"
    assert one["plates"][0]["lowest_character_confidence"] == 0.9
    assert "rejected" not in one
    assert two["error"].startswith("the image file ")
    for entry, key in ((one, "file"), (two, "file"), (content, "artifact")):
        raw = entry.get(f"{key}_base64")
        assert name == (entry[key].encode() if raw is None else base64.b64decode(raw))
        assert (raw is None) == utf8
