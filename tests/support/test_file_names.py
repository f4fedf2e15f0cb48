"""File names of any bytes in messages and in JSON."""

import json
import os

from hypothesis import given
from hypothesis import strategies as st

from lprnet.support.file_names import escaped_bytes, printable, utf8, utf8_json


@given(st.binary())
def test_any_name(name: bytes) -> None:
    text = os.fsdecode(name)
    for shown in (printable(text), escaped_bytes(text), utf8(text)):
        shown.encode()  # raises where it is no UTF-8
    assert len(printable(text).splitlines()) <= 1
    assert not any(ord(character) < 0x20 for character in printable(text))
    content = utf8_json(json.dumps({text: [text]}, ensure_ascii=False)).encode()
    assert json.loads(content) == {text: [text]}
    if name.decode(errors="ignore").encode() == name:
        assert escaped_bytes(text) == utf8(text) == text


def test_what_is_shown() -> None:
    assert printable("caf\udce9\t\n\x1b[31m\x85牌") == r"caf\xe9\t\n\x1b[31m\x85牌"
    assert escaped_bytes("caf\udce9\t牌") == "caf\\xe9\t牌"
    assert utf8("caf\udce9\t牌") == "caf\ufffd\t牌"
