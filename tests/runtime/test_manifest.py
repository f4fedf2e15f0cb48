"""A manifest that was edited: one sentence, or an artifact that reads as it did."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lprnet.runtime import manifest as module
from lprnet.runtime.artifact import manifest_path, write_artifact
from lprnet.runtime.manifest import FORMAT, from_json, to_json
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.json_edits import REMOVED, edit, places
from tests.runtime.tiny_artifact import IMAGE, artifact

EDITS = int(os.environ.get("LPRNET_MANIFEST_EDITS", "2000"))
PHOTO = np.zeros(IMAGE.shape, np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = artifact("B", tmp_path_factory.mktemp("manifest") / "b.so")
    write_artifact(one)
    return one.path


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    return manifest_path(path).read_text(encoding="utf-8")


def canonical(text: bytes) -> str:
    """JSON in one form; 4 and 4.0 are two numbers to a digest."""
    return json.dumps(json.loads(text), sort_keys=True)


def assert_refused_or_right(path: Path, edited: bytes) -> bool:
    """Whether it is refused; then by one sentence, which names the manifest or the artifact."""
    manifest_path(path).write_bytes(edited)
    try:
        reader = Recognizer(path)
        plate = reader.read(PHOTO)
    except UserError as error:
        message = str(error)
        assert message.startswith(str(path.with_suffix("")))
        assert message.endswith(".")
        assert "\n" not in message
        return True
    assert plate.text == "B"
    return False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
VALUES = JSON | st.sampled_from(
    [
        REMOVED,
        None,
        -1,
        0,
        1,
        10**12,
        10**400,
        1.5,
        math.nan,
        math.inf,
        True,
        "",
        "run",
        [],
        {},
        "\udc80",
    ]
)


@settings(
    max_examples=EDITS, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_any_field_with_any_value(path: Path, text: str, data: st.DataObject) -> None:
    """An edited manifest may have a new digest that fits."""
    content = json.loads(text)
    place = data.draw(st.sampled_from(places(content)))
    edit(content, place, data.draw(VALUES))
    if data.draw(st.booleans()):
        content.pop("digest", None)
        content["digest"] = module._digest(content)
    assert_refused_or_right(path, json.dumps(content).encode())


@settings(
    max_examples=EDITS, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(place=st.integers(0, 10_000), new=st.binary(max_size=3), removed=st.integers(0, 3))
def test_any_bytes_in_any_place(
    path: Path, text: str, place: int, new: bytes, removed: int
) -> None:
    whole = text.encode()
    place %= len(whole)
    edited = whole[:place] + new + whole[place + removed :]
    refused = assert_refused_or_right(path, edited)
    try:
        same = canonical(edited) == canonical(whole)
    except ValueError:
        same = False
    assert refused == (not same)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("alphabet", "symbols"), ["B", "A", "-"]),
        (("alphabet", "blank"), 1),
        (("image", "height"), 3),
        (("image", "channels"), 1),
        (("target_versions", 0, "arena_bytes"), 64),
        (("target_versions", 0, "logits_shape"), [1, 2, 8]),
        (("target_versions", 0, "function"), "run"),
        (("target_versions", 0, "cpu_flags"), []),
    ],
)
def test_the_artifact_knows_what_it_was_compiled_for(
    path: Path, text: str, place: tuple[str | int, ...], value: Any
) -> None:
    """Of the right type, in its range, with the digest written anew."""
    content = json.loads(text)
    edit(content, place, value)
    del content["digest"]
    content["digest"] = module._digest(content)
    manifest_path(path).write_text(json.dumps(content))
    with pytest.raises(UserError, match="was not compiled for"):
        Recognizer(path)


@pytest.mark.parametrize("stated", [1, 2, 3, FORMAT + 1, "4", None, True, float(FORMAT)])
def test_another_format_is_built_again(path: Path, text: str, stated: object) -> None:
    content = {**json.loads(text), "format": stated}
    manifest_path(path).write_text(json.dumps(content))
    with pytest.raises(UserError, match="another version of lprnet; build the artifact again"):
        Recognizer(path)


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_nested_up_to_what_the_parser_takes_and_beyond(
    path: Path, text: str, begin: str, end: str
) -> None:
    """At some depth a manifest can still be parsed, and not be written again for its digest."""
    for depth in range(700, 1010):
        later = begin * depth + "1" + end * depth
        assert assert_refused_or_right(path, f'{text.rstrip()[:-1]}, "later": {later}}}'.encode())


def test_a_file_of_any_length_is_not_read_whole(path: Path, text: str) -> None:
    with manifest_path(path).open("w") as file:
        file.truncate(1 << 40)  # no disk has it
    with pytest.raises(UserError, match="it has over 4,194,304 bytes"):
        Recognizer(path)
    manifest_path(path).write_text(text)
    content = path.read_bytes()
    try:
        with path.open("r+b") as file:
            file.truncate(1 << 40)
        with pytest.raises(UserError, match="is not the file its manifest describes"):
            Recognizer(path)
    finally:
        path.write_bytes(content)


def test_unknown_fields_are_passed_over(path: Path, text: str) -> None:
    content = json.loads(text)
    content["later"] = {"a": [1]}
    content["target_versions"][0]["later"] = "b"
    del content["digest"]
    content["digest"] = module._digest(content)
    assert from_json(json.dumps(content).encode()) == from_json(text.encode())
    assert not assert_refused_or_right(path, json.dumps(content).encode())


def test_a_manifest_is_read_as_it_was_written(text: str) -> None:
    found = from_json(text.encode())
    assert to_json(found) == text
    assert found.alphabet.symbols == ("A", "B", "-")
