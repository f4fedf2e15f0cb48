"""A job whose `_job.json` or plan was edited: one sentence, or all plates; never fewer."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lprnet.bulk import job, job_file, plan
from lprnet.bulk.job_file import FORMAT, Key, Options
from lprnet.commands.dispatch import execute
from lprnet.support.errors import UserError
from tests.json_edits import REMOVED, edit, places

PLATES, SHARD_SIZE = 20, 5
OPTIONS = Options("csv", 1, False, 0.5, "1", 1 << 24, False)
KEY = Key(
    ["photos", "\udcff.png"], "/work", None, None, None, SHARD_SIZE, "0" * 64, "1" * 64, OPTIONS
)
VALUES: list[Any] = [
    REMOVED, None, True, False, -1, 0, 1, 2, 10**12, 10**400, 1.5, math.nan, "", "x", "\udc80", [],
    {}, [[]], {"a": 1},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a job that has begun."""
    names = (f"{number:02}.png" for number in range(PLATES))
    job.begin(tmp_path, KEY, plan.write_plan(names, SHARD_SIZE, tmp_path / plan.FILE_NAME))
    return tmp_path


def outcome(folder: Path) -> plan.Extent | str:
    """What the job goes on with, or the one sentence that says why it does not."""
    try:
        found = job.find_plan(folder, KEY)
    except UserError as error:
        return str(error)
    assert found is not None
    return found


def refused(folder: Path, name: str) -> bool:
    """Whether the job does not go on; then the sentence names the file and the remedy."""
    found = outcome(folder)
    if isinstance(found, plan.Extent):
        assert found == plan.Extent(PLATES // SHARD_SIZE, PLATES)
        return False
    assert found.startswith(f"{folder / name}: ")
    assert "choose another --output" in found
    assert "\n" not in found
    return True


@settings(
    max_examples=1000, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    name=st.sampled_from([job_file.FILE_NAME, plan.FILE_NAME]),
    place=st.integers(0, 10_000),
    new=st.binary(max_size=3),
    removed=st.integers(0, 3),
)
def test_any_bytes_in_any_place(
    name: str, place: int, new: bytes, removed: int, folder: Path
) -> None:
    path = folder / name
    whole = path.read_bytes()
    place %= len(whole)
    edited = whole[:place] + new + whole[place + removed :]
    path.write_bytes(edited)
    assert refused(folder, name) == (not same(name, edited, whole))
    path.write_bytes(whole)


def same(name: str, edited: bytes, whole: bytes) -> bool:
    """The plan's places are bytes; `_job.json` may have other blanks."""
    try:
        return edited == whole or (
            name == job_file.FILE_NAME and canonical(edited) == canonical(whole)
        )
    except ValueError:
        return False


def canonical(content: bytes) -> str:
    """JSON in one form; 4 and 4.0 are two numbers to a digest."""
    return json.dumps(json.loads(content), sort_keys=True)


@pytest.mark.parametrize("signed", [False, True])
def test_any_field_with_any_value(signed: bool, folder: Path) -> None:
    """Also where the digest is that of the edited fields: then their types are all there is."""
    path = folder / job_file.FILE_NAME
    whole = json.loads(path.read_bytes())
    for place in places(whole):
        for value in VALUES:
            content = json.loads(json.dumps(whole))
            edit(content, place, value)
            if signed:
                content.pop("digest", None)
                content["digest"] = job_file._digest(content)
            path.write_text(json.dumps(content))
            found = outcome(folder)
            if isinstance(found, str):
                assert str(folder) in found
                assert "\n" not in found
            else:
                assert signed or found == plan.Extent(PLATES // SHARD_SIZE, PLATES)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"key":' * 50_000, b"1" * 5000],
)
def test_another_document_is_refused(content: bytes, folder: Path) -> None:
    (folder / job_file.FILE_NAME).write_bytes(content)
    assert refused(folder, job_file.FILE_NAME)


@pytest.mark.parametrize("stated", [REMOVED, None, 1, FORMAT + 1, str(FORMAT), True])
def test_a_job_of_another_version_is_refused(stated: Any, folder: Path) -> None:
    path = folder / job_file.FILE_NAME
    content = json.loads(path.read_bytes())
    edit(content, ("format",), stated)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"its format is not {FORMAT}, that of this version"):
        job.find_plan(folder, KEY)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_after_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [job_file.FILE_NAME, plan.FILE_NAME])
@pytest.mark.parametrize("damage", [cut, cut_after_a_line, empty, Path.unlink, make_folder])
def test_a_job_goes_on_with_all_plates_or_says_why_not(
    name: str,
    damage: Callable[[Path], None],
    photos: Path,
    letter: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photos.parent)
    arguments = ["photos", "--output=out", f"--artifact={letter}", "--shard-size=5", "--format=csv"]
    with monkeypatch.context() as patched:  # as if it had been killed before the first shard
        patched.setattr("lprnet.bulk.run.read_shards", lambda *_: iter(()))
        assert execute(arguments, "bulk") == 0
    damage(Path("out", name))
    if (name, damage) == (job_file.FILE_NAME, Path.unlink):  # which is a folder without a job
        execute(arguments, "bulk")
        texts = [path.read_text() for path in Path("out").glob("shard-*")]
        assert (
            sum(len(list(csv.reader(text.splitlines(keepends=True)))) - 1 for text in texts) == 25
        )
    else:
        with pytest.raises(UserError, match=rf"^out/{name}: .* choose another --output"):
            execute(arguments, "bulk")
