"""Parquet files that are damaged: an error of their own, or one sentence."""

import io
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from lprnet.bulk.parquet_input import parquet_sources, row_groups
from lprnet.support.errors import UserError

OPTIONS: list[dict[str, Any]] = [
    {},
    {"compression": "gzip"},
    {"use_dictionary": False, "compression": "zstd"},
]


def outcome(path: Path) -> str:
    """What reading all of a file comes to."""
    try:
        pieces = list(row_groups(str(path), None))
    except UserError as error:
        return "refused" if "\n" not in str(error) else "two lines"
    found = [one for piece in pieces for one in parquet_sources(piece, 1 << 24)]
    return "an error" if any(one.error for one in found) else "read"


def test_any_damage_is_an_error_or_one_sentence(tmp_path: Path) -> None:
    rng = random.Random(0)
    images = [{"bytes": rng.randbytes(50), "path": "x"} for _ in range(20)]
    outcomes = Counter[str]()
    for options in OPTIONS:
        file = io.BytesIO()
        table = pyarrow.table({"image": pyarrow.array(images)})
        pyarrow.parquet.write_table(table, file, row_group_size=7, **options)
        for _ in range(200):
            content = bytearray(file.getvalue())
            for _ in range(rng.choice([1, 2, 5])):
                # The last bytes say what the others are.
                first = rng.choice([0, len(content) - 600])
                content[rng.randrange(first, len(content))] = rng.randrange(256)
            (tmp_path / "a.parquet").write_bytes(content)
            outcomes[outcome(tmp_path / "a.parquet")] += 1
    assert outcomes.keys() == {"read", "an error", "refused"}
    assert min(outcomes.values()) > 10


@pytest.mark.parametrize("stored", [True, False])
def test_a_name_that_is_no_text_is_one_sentence(stored: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"image": [b"x"]})
    pyarrow.parquet.write_table(table, path, store_schema=stored)
    path.write_bytes(path.read_bytes().replace(b"image", b"im\x96ge"))
    with pytest.raises(UserError, match=r"a\.parquet: cannot be read \("):
        list(row_groups(str(path), None))
