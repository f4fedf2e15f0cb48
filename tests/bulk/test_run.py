"""Whole jobs: every kind of input and output, jobs that go on, and folders that are refused."""

import csv
import io
import json
import os
import tarfile
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from lprnet.bulk import inputs, job
from lprnet.bulk.plan import Extent, line_at, places, write_plan
from lprnet.commands.dispatch import execute
from lprnet.runtime.artifact import read_artifact, write_artifact
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.support.errors import UserError
from tests.runtime.tiny_artifact import artifact


@dataclass
class Bulk:
    """The command, run in the folder `photos` lies in. A call returns what it says on stderr."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", code: int = 0) -> str:
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert execute(list(map(str, arguments)), "bulk") == code
        said = self.capsys.readouterr()
        assert said.out == ""
        return said.err

    def refused(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        with pytest.raises(UserError) as error:
            self(*arguments, stdin=stdin)
        return str(error.value)


@pytest.fixture
def bulk(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bulk:
    return Bulk(photos.parent, monkeypatch, capsys)


def rows(folder: Path) -> list[dict[str, str]]:
    text = "".join(path.read_text() for path in sorted(folder.glob("shard-*.csv")))
    header = text.partition("\n")[0] + "\n"
    return list(csv.DictReader(io.StringIO(header + text.replace(header, ""))))


def test_a_folder_comes_in_order_and_errors_beside_it(
    bulk: Bulk, photos: Path, letter: Path
) -> None:
    options = ("photos", "--output", "out", "--artifact", letter, "--format", "csv")
    said = bulk(*options, "--shard-size", "8", "--rows", "auto", code=1)
    assert "30 plates in" in said
    assert "5 plates could not be read" in said
    assert "\r" not in said
    out = photos.parent / "out"
    names = [f"photos/{number:03}.png" for number in range(29)]
    assert [row["file"] for row in rows(out)] == [
        *(name for number, name in enumerate(names) if number % 7), "photos/\\xff,\n.png",
    ]  # fmt: skip
    assert {row["text"] for row in rows(out)} == {"A"}
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "_errors-00000000.jsonl", "_errors-00000001.jsonl", "_errors-00000002.jsonl",
        "_errors-00000003.jsonl", "_job.json", "_plan.jsonl",
        "shard-00000000.csv", "shard-00000001.csv", "shard-00000002.csv", "shard-00000003.csv",
    ]  # fmt: skip
    errors = [
        json.loads(line)
        for path in sorted(out.glob("_errors-*"))
        for line in path.read_text().splitlines()
    ]
    assert [one["file"] for one in errors] == names[::7]
    assert all("truncated" in one["error"] for one in errors)


def test_tar_parquet_and_names_on_stdin_read_as_files_do(
    bulk: Bulk, tmp_path: Path, png: bytes, letter: Path
) -> None:
    (tmp_path / "one.png").write_bytes(png)
    for name, mode in (("a.tar", "w"), ("b.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:  # type: ignore[call-overload]
            for member in ("x.png", "x.json", "long" * 40 + ".PNG"):
                tar.add(tmp_path / "one.png", member)
    table = pyarrow.table({"id": [1, 2, 3], "image": [png, None, png]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet", row_group_size=2)
    images = pyarrow.array([{"bytes": png, "path": "x"}])
    pyarrow.parquet.write_table(pyarrow.table({"image": images}), tmp_path / "d.parquet")
    listed = b"one.png\0c.parquet\0gone.png\0"
    bulk(
        "-", "*.tar*", "d.parquet", "--output", "out", "--artifact", letter, "--format=jsonl",
        stdin=listed, code=1,
    )  # fmt: skip
    out = tmp_path / "out"
    read = [
        json.loads(line)
        for path in sorted(out.glob("shard-*"))
        for line in path.read_text().splitlines()
    ]
    assert [one["file"] for one in read] == [
        "one.png", "c.parquet/0", "c.parquet/2", "a.tar/x.png", f"a.tar/{'long' * 40}.PNG",
        "b.tar.gz/x.png", f"b.tar.gz/{'long' * 40}.PNG", "d.parquet/0",
    ]  # fmt: skip
    assert {one["plates"][0]["text"] for one in read} == {"A"}
    (errors,) = (path.read_text() for path in out.glob("_errors-*"))
    assert [json.loads(line)["file"] for line in errors.splitlines()] == ["c.parquet/1", "gone.png"]


def test_parquet_out_is_one_data_set(bulk: Bulk, photos: Path, letter: Path) -> None:
    bulk(
        "photos/0*.png", "--output", "out", "--artifact", letter, "--top", "2",
        "--shard-size", "10", code=1,
    )  # fmt: skip
    table = pyarrow.parquet.read_table(photos.parent / "out").to_pylist()
    assert [row["file"] for row in table if row["rank"] == 1] == [
        f"photos/{number:03}.png" for number in range(29) if number % 7
    ]
    assert table[0]["text"] == "A"
    assert table[0]["confidence"] == pytest.approx(table[0]["character_confidences"][0], abs=1e-2)
    assert 0.9 < table[0]["confidence"] <= 1


def test_all_that_recognize_marks_is_in_each_form(bulk: Bulk, photos: Path, letter: Path) -> None:
    """A box and a rejection: the columns of CSV and Parquet and the fields of JSON are the same."""
    (bulk.folder / "boxes.csv").write_text("file,x1,y1,x2,y2\nphotos/001.png,0,0,3,2\n")
    options = ("--boxes", "boxes.csv", "--artifact", letter, "--min-confidence", "1")
    for form in ("csv", "parquet", "jsonl"):
        bulk(*options, "--format", form, "--output", form)
    (from_csv,) = rows(bulk.folder / "csv")
    (from_parquet,) = pyarrow.parquet.read_table(bulk.folder / "parquet").to_pylist()
    from_json = json.loads((bulk.folder / "jsonl" / "shard-00000000.jsonl").read_text())
    assert list(from_csv) == list(from_parquet)
    assert from_csv["rejected"] == "true"
    assert from_parquet["rejected"] is from_json["rejected"] is True
    assert from_csv["box"] == "0.0 0.0 3.0 2.0"
    assert from_parquet["box"] == from_json["box"] == [0, 0, 3, 2]
    lowest = from_json["plates"][0]["lowest_character_confidence"]
    assert float(from_csv["lowest_character_confidence"]) == pytest.approx(lowest, abs=1e-6)
    assert from_parquet["lowest_character_confidence"] == pytest.approx(lowest, abs=1e-6)


def test_a_job_goes_on_with_what_it_began_with(bulk: Bulk, photos: Path, letter: Path) -> None:
    options = ("photos", "--output", "out", "--artifact", letter, "--shard-size", "10")
    out = photos.parent / "out"
    bulk(*options, code=1)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "shard-00000001.parquet").unlink()
    (out / ".shard-00000001.parquet.there.1.partial").write_bytes(b"half")
    (photos / "0.png").write_bytes(b"was not there")
    said = bulk(*options, code=1)
    assert "2 of 3 shards were there before" in said
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("what", ["the code", "the manifest"])
def test_an_artifact_that_is_replaced_meanwhile_reads_nothing(
    what: str, bulk: Bulk, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a build during a job of days whose worker starts anew, or on another machine of Ray."""
    one = artifact("A", photos.parent / "a.so")
    other = artifact("B", one.path)
    if what == "the manifest":
        other = one._replace(manifest=replace(one.manifest, checkpoint="another"))
    write_artifact(one)

    def begin(*arguments: Any) -> None:
        original(*arguments)
        write_artifact(other)

    original = job.begin
    monkeypatch.setattr(job, "begin", begin)
    options = ("photos", "--output", "out", "--artifact", "a.so")
    assert "a.so: is another artifact than the one that the job in out began" in bulk.refused(
        *options
    )
    assert not list((photos.parent / "out").glob("shard-*"))
    write_artifact(one)
    assert "30 plates" in bulk(*options, code=1)


def test_another_job_is_refused(bulk: Bulk, photos: Path, letter: Path, png: bytes) -> None:
    folder = photos.parent
    (folder / "one.png").write_bytes(png)
    options: tuple[str | Path, ...] = ("--output", "out", "--artifact", letter)
    bulk("-", *options, stdin=b"one.png\n")

    refused = bulk.refused
    listed = b"one.png\n"
    assert "other stdin sha256" in refused("-", *options, stdin=b"photos/001.png\n")
    assert "other inputs" in refused("photos", *options)
    assert "other options" in refused("-", *options, "--top", "2", stdin=listed)
    (folder / "other").mkdir()
    (folder / "other" / "thesis.txt").touch()
    assert "no job (thesis.txt)" in refused("photos", "--output", "other", "--artifact", letter)
    assert "holds no image" in refused("other", "--output", "new", "--artifact", letter)
    with job.locked(folder / "out"):
        assert "another run" in refused("-", *options, stdin=listed)


def test_wrong_arguments_are_one_sentence(bulk: Bulk, photos: Path, letter: Path) -> None:
    folder = photos.parent
    (folder / "boxes.csv").touch()
    options = ("--output", "out", "--artifact", letter)
    assert "give images" in bulk.refused(*options)
    assert "give images" in bulk.refused("photos", "--boxes", "boxes.csv", *options)
    assert "--output" in bulk.refused("photos")
    assert "gone.parquet: cannot be read" in bulk.refused("gone.parquet", *options)
    assert "is a URL" in bulk.refused("http://x/y.png", *options)
    assert os.listdir(folder / "out") == [job.LOCK]


def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator of names in no order, into a plan: 100,000 names would take 8 MB together."""
    monkeypatch.setattr(inputs, "SORTED_AT_ONCE", 10_000)
    count = 100_000
    tracemalloc.start()
    names = (f"photos/{number * 7919 % count:09}.jpg" for number in range(count))
    extent = write_plan(inputs.in_order(names), 200, tmp_path / "plan")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert extent == Extent(500, count)
    assert peak < 4 << 20
    lines = (tmp_path / "plan").read_text().splitlines()
    planned = [name for line in lines for name in json.loads(line)]
    assert planned == [f"photos/{number:09}.jpg" for number in range(count)]
    places_found = list(places(tmp_path / "plan"))
    assert len(places_found) == len(lines)
    assert line_at(tmp_path / "plan", places_found[77][1]) == lines[77] + "\n"


def test_confidences_that_are_calibrated_anew_are_another_job(
    bulk: Bulk, tmp_path: Path, letter: Path
) -> None:
    for suffix in (".so", ".json"):
        (tmp_path / f"mine{suffix}").write_bytes(letter.with_suffix(suffix).read_bytes())
    options = ("photos", "--output", "out", "--artifact", "mine.so")
    bulk(*options, code=1)
    bulk(*options, code=1)
    artifact = read_artifact(tmp_path / "mine.so")
    calibrated = ConfidenceCalibration(2.0, 0.0, "plates", 100, 0.9)
    manifest = replace(artifact.manifest, confidence=calibrated)
    write_artifact(artifact._replace(manifest=manifest))
    assert "another job, with other manifest sha256" in bulk.refused(*options)
