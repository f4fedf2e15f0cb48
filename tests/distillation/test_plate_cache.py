"""Rendered plates on disk: the same as rendered ones, whatever happened to the file."""

import pickle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from lprnet.distillation import plate_cache
from lprnet.distillation.plate_cache import RECORD, PlateCache, RenderedPlates
from lprnet.support.errors import UserError

SOURCE = RenderedPlates(seed=7)


def test_a_plate_is_rendered_once(tmp_path: Path) -> None:
    cache = PlateCache(tmp_path / "plates", SOURCE, 10)
    images, texts = cache.read([3, 9, 3])
    for place, index in enumerate((3, 9, 3)):
        image, text = SOURCE.plate(index)
        np.testing.assert_array_equal(images[place], image)
        assert texts[place] == text
    reopened = pickle.loads(pickle.dumps(PlateCache(tmp_path / "plates", SOURCE, 10)))
    with patch.object(plate_cache, "render", side_effect=AssertionError("rendered again")):
        again, same = reopened.read(np.array([3, 9, 3]))
    np.testing.assert_array_equal(images, again)
    assert texts == same


def test_a_damaged_or_half_written_plate_is_rendered_again(tmp_path: Path) -> None:
    images, texts = PlateCache(tmp_path, SOURCE, 4).read(range(4))
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[RECORD.itemsize + 100] ^= 1
    content[2 * RECORD.itemsize :] = bytes(2 * RECORD.itemsize)
    file.write_bytes(content)
    again, same = PlateCache(tmp_path, SOURCE, 4).read(range(4))
    np.testing.assert_array_equal(images, again)
    assert texts == same


def test_the_file_has_its_full_size_and_grows(tmp_path: Path) -> None:
    cache = PlateCache(tmp_path, SOURCE, 3)
    _, texts = cache.read([2])
    assert cache.path.stat().st_size == 3 * RECORD.itemsize
    assert cache.path.stat().st_blocks * 512 >= 3 * RECORD.itemsize
    grown = PlateCache(tmp_path, SOURCE, 5)
    assert (len(grown), grown.read([2, 4])[1][0]) == (5, texts[0])
    assert len(PlateCache(tmp_path, SOURCE, 2)) == 5


def test_other_plates_have_another_file_and_the_old_one_goes(tmp_path: Path) -> None:
    first = PlateCache(tmp_path, SOURCE, 2)
    second = PlateCache(tmp_path, RenderedPlates(seed=8), 2)
    assert list(tmp_path.iterdir()) == [second.path]
    assert first.path != second.path
    with patch.object(plate_cache, "renderer_version", return_value="another"):
        assert PlateCache(tmp_path, SOURCE, 2).path not in (first.path, second.path)


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no room for 1,000,000,000,000 rendered plates"):
        PlateCache(tmp_path / "plates", SOURCE, 10**12)
    assert list(tmp_path.iterdir()) == []
    before = PlateCache(tmp_path, SOURCE, 2).path.read_bytes()
    with pytest.raises(UserError, match="no room"):
        PlateCache(tmp_path, SOURCE, 10**12)
    assert (tmp_path / f"plates-{SOURCE.version()}.bin").read_bytes() == before


def test_difficulty_rises(tmp_path: Path) -> None:
    """Recorded where it is handed to the renderer: early plates are easy, later ones are not."""
    source = RenderedPlates(seed=1, easiest=0.2, hardest=2.2, easy_plates=1000)
    with patch.object(plate_cache, "render", side_effect=lambda *args: args[2]):
        drawn: list[float] = [source.plate(i) for i in range(2000)]  # type: ignore[misc]
    assert max(drawn[:50]) < 0.5
    assert max(drawn[1000:]) > 2.0
    assert 0.2 <= min(drawn) <= max(drawn) <= 2.2
