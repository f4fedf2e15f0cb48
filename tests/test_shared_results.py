"""A result that tests share is computed once, by one of the processes that ask at the same time."""

from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.shared_results import SharedResults


def noted(folder: Path, number: int, factor: int = 2) -> list[int]:
    """Leaves a line in a file, so that calls can be counted."""
    with (folder / "calls").open("a") as calls:
        calls.write(f"{number}\n")
    return [number * factor]


def ask(folder: Path) -> list[int]:
    return SharedResults(folder).call(noted, folder, 3)


def test_processes_that_ask_at_once_compute_it_once(tmp_path: Path) -> None:
    with get_context("spawn").Pool(3) as pool:
        assert pool.map_async(ask, [tmp_path] * 6).get(60) == [[6]] * 6
    assert (tmp_path / "calls").read_text() == "3\n"


def test_other_arguments_are_another_result_and_defaults_are_arguments(tmp_path: Path) -> None:
    shared = SharedResults(tmp_path)
    assert shared.call(noted, tmp_path, 1) == [2]
    assert shared.call(noted, tmp_path, 1, 2) == [2]
    assert shared.call(noted, tmp_path, 1, factor=3) == [3]
    assert (tmp_path / "calls").read_text() == "1\n1\n"


def test_callers_do_not_see_what_others_do_to_their_copy(tmp_path: Path) -> None:
    shared = SharedResults(tmp_path)
    shared.call(noted, tmp_path, 1).append(7)
    assert shared.call(noted, tmp_path, 1) == [2]


def test_a_failure_is_no_result(tmp_path: Path) -> None:
    shared = SharedResults(tmp_path)
    with pytest.raises(FileNotFoundError):
        shared.call(noted, tmp_path / "later", 1)
    (tmp_path / "later").mkdir()
    assert shared.call(noted, tmp_path / "later", 1) == [2]
