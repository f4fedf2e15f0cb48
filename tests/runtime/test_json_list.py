"""A list that is read item by item: against `json`, which has it in memory at once."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.runtime import json_list
from lprnet.runtime.json_list import json_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
BLOCKS = st.integers(1, 9)


def read(text: str, block: int) -> list[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "BLOCK", block)
        return list(json_items(io.StringIO(text)))


@given(st.lists(VALUES, max_size=8), st.sampled_from([None, 1]), BLOCKS, st.booleans())
def test_any_list_in_any_blocks(
    items: list[object], indent: int | None, block: int, ascii_only: bool
) -> None:
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    assert read(text, block) == items
    assert read(f" \n{text}\t ", block) == items


@given(st.text('[]{},:"1e-. \\\nntrue', max_size=20), BLOCKS)
def test_any_text_is_read_or_refused_as_json_does(text: str, block: int) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    if isinstance(expected, list):
        assert read(text, block) == expected
        return
    with pytest.raises(ValueError, match="^is "):
        read(text, block)


@given(st.lists(VALUES, min_size=1, max_size=5), st.integers(1, 400), BLOCKS)
def test_what_stands_before_a_cut_is_read(items: list[object], cut: int, block: int) -> None:
    text = json.dumps(items)[:-cut]
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "BLOCK", block)
        with pytest.raises(ValueError, match="^is "):
            found.extend(json_items(io.StringIO(text)))
    assert found == items[: len(found)]


def test_one_item_is_in_memory_at_a_time() -> None:
    file = io.StringIO("[" + "{}," * 100_000 + "{}]")
    tracemalloc.start()
    try:
        count = sum(1 for _ in json_items(file))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 100_001
    assert peak < 2_000_000


@pytest.mark.parametrize("item", ['"' + "x" * 2_000_000 + '"', "[" + "1," * 1_000_000 + "1]"])
def test_an_item_has_a_length(item: str) -> None:
    with pytest.raises(ValueError, match="is too long"):
        read(f"[{item}]", json_list.BLOCK)
