"""Shards made from columns hold what the readings say, one by one."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.bulk import output, parquet_output
from lprnet.bulk.job_file import Options
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.decode import read_texts
from lprnet.runtime.reading_columns import ReadingColumns
from lprnet.runtime.reading_output import Reading, as_csv, as_json, csv_header

LETTERS = Alphabet("letters", ("a", "-", "bb", '"', ",", "京"), 1, "[a京]+")
"""One symbol has two letters, others need quotes."""
NAMES = st.text(st.sampled_from('ab,"\n\r京\udcff\x1b'), max_size=5)


@st.composite
def parts(draw: st.DrawFn) -> ReadingColumns:
    """What is read of at most six files; each may have an error instead."""
    files = draw(st.lists(NAMES, max_size=6))
    errors = {plate: "is missing" for plate, _ in enumerate(files) if draw(st.booleans())}
    box = (0.5, 1.0, 20.0, 3.25) if draw(st.booleans()) else None
    there = [plate for plate, _ in enumerate(files) if plate not in errors]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(0, 3, (len(there), 6, 5)).astype(np.float32)
    read = read_texts(logits, draw(st.integers(1, 3)), draw(st.booleans()), LETTERS)
    read = read._replace(images=np.array(there, np.intp)[read.images])
    return ReadingColumns(files, errors, [box] * len(files), read, LETTERS)


def options(form: str, least: float | None, boxes: bool = False) -> Options:
    return Options(form, 3, False, least, "1", 1000, boxes)


def expected(part: ReadingColumns, least: float | None) -> list[Reading]:
    good = [reading for reading in part.readings() if reading.error is None]
    return good if least is None else [reading.judged(least) for reading in good]


@settings(deadline=None)
@given(st.lists(parts(), max_size=3), st.none() | st.floats(0, 1))
def test_csv_and_json_are_those_of_recognize(
    tmp_path_factory: pytest.TempPathFactory, some: list[ReadingColumns], least: float | None
) -> None:
    path = tmp_path_factory.mktemp("shard") / "shard"
    readings = [reading for part in some for reading in expected(part, least)]
    output.write(options("csv", least), some, path)
    said = csv_header(False, least is not None) + "".join(map(as_csv, readings))
    assert path.read_bytes() == said.encode()
    output.write(options("jsonl", least), some, path)
    lines = path.read_text("utf-8").split("\n")
    whole = json.loads(as_json("a", readings, grammar=False))
    assert lines.pop() == ""
    assert list(map(json.loads, lines)) == whole["images"]
    assert as_json("a", readings, grammar=False).endswith(f'"images": [{", ".join(lines)}]}}')


@settings(deadline=None)
@given(st.lists(parts(), max_size=5), st.none() | st.floats(0, 1), st.integers(1, 9))
def test_parquet_has_the_values_of_csv(
    tmp_path_factory: pytest.TempPathFactory,
    some: list[ReadingColumns],
    least: float | None,
    rows_at_once: int,
) -> None:
    path = tmp_path_factory.mktemp("shard") / "shard"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet_output, "ROWS_AT_ONCE", rows_at_once)
        output.write(options("parquet", least, boxes=True), some, path)
    readings = [reading for part in some for reading in expected(part, least)]
    header = csv_header(True, least is not None).strip().split(",")
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == header
    text = "".join(map(as_csv, (one._replace(box=one.box or ()) for one in readings)))
    rows = csv.reader(io.StringIO(text, newline=""))
    for row, found in zip(rows, table.to_pylist(), strict=True):
        fields = dict(zip(header, row, strict=True))
        assert (fields["file"], fields["text"]) == (found["file"], found["text"])
        assert int(fields["rank"]) == found["rank"]
        peaks = [float(one) for one in fields["character_confidences"].split()]
        assert found["character_confidences"] == pytest.approx(peaks, abs=1e-6)
        for name in ("confidence", "lowest_character_confidence"):
            assert found[name] == pytest.approx(float(fields[name]), abs=1e-6)
        assert list(map(float, fields["box"].split())) == (found["box"] or [])
        assert fields.get("rejected") == (None if least is None else str(found["rejected"]).lower())
    check_row_groups(path, [len(one.plates) for one in readings], rows_at_once)


def check_row_groups(path: Path, plates: list[int], rows_at_once: int) -> None:
    """Each group ends with the first plate that fills it."""
    groups, rows = [], 0
    for texts in plates:
        rows += texts
        if rows >= rows_at_once:
            groups.append(rows)
            rows = 0
    metadata = pyarrow.parquet.ParquetFile(path).metadata
    found = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert found == [*groups, rows]
