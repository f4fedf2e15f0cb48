"""A sample of the mutants; `.ci/fuzz` reads a million."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.formats import PNG_CHUNKS, WEBP_CHUNKS, all_formats
from tests.fuzz.run import run
from tests.fuzz.targets import NAMES, find_target, mutant


def test_no_mutant_ends_the_process_or_takes_much_memory() -> None:
    result = run("images", first=0, count=2_000)
    assert [fault for fault in result.faults if "slow" not in fault] == []
    total = sum(count for name, count in result.counts.items() if "," not in name)
    assert total == 2_000
    for name in all_formats():
        assert result.counts[f"{name} read"] > 20
        assert result.counts[f"{name} refused"] > 20


@pytest.mark.parametrize(
    ("target", "count", "read", "refused"),
    [
        ("manifests", 2_000, 100, 500),
        ("boxes", 2_000, 300, 500),
        ("bulk_files", 500, 10, 100),
        ("checkpoints", 300, 10, 100),
        ("onnx_files", 100, 10, 10),
    ],
)
def test_other_files_are_read_or_refused(target: str, count: int, read: int, refused: int) -> None:
    result = run(target, first=0, count=count)
    assert [fault for fault in result.faults if "slow" not in fault] == []
    outcomes = [(name.split()[-1], number) for name, number in result.counts.items()]
    assert sum(number for outcome, number in outcomes if outcome == "read") > read
    assert sum(number for outcome, number in outcomes if outcome == "refused") > refused


def test_shares_that_stand_in_a_file_are_not_read_again(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    first = run("boxes", 0, 300, results=results)
    lines = results.read_text().splitlines()
    changed = json.loads(lines[0])
    changed["counts"][".csv read"] = 1_000_000
    results.write_text(json.dumps(changed) + "\n")
    again = run("boxes", 0, 300, results=results)
    assert len(lines) == len(results.read_text().splitlines()) == 1
    assert first.counts[".csv read"] < 300
    assert again.counts[".csv read"] == 1_000_000


@pytest.mark.parametrize("target", NAMES)
def test_every_mutant_can_be_made(target: str) -> None:
    """Mutations that hit what an earlier one has made, as metadata that are no object."""
    for number in range(500_000, 501_000):
        mutant(find_target(target), number)


def test_every_part_is_tried_and_mutants_are_the_same_again() -> None:
    assert mutant(find_target("images"), 7) == mutant(find_target("images"), 7)
    rng = random.Random(0)
    markers = [bytes([marker]) for marker in range(0xC0, 0xFF)]
    for name, kinds in (("PNG", PNG_CHUNKS), ("JPEG", markers), ("WEBP", WEBP_CHUNKS)):
        form = all_formats()[name]
        assert {*kinds} <= {form.another(rng).kind for _ in range(5_000)}


def test_a_worker_that_cannot_start_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.run.sys.executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError):
        run("images", 0, 10)


def test_a_fatal_mutant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies of mutant 0, which stands in its file; the next one starts behind it."""
    died = iter([-11, 0])

    def ended(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], next(died), b"")

    monkeypatch.setattr("tests.fuzz.run.subprocess.run", ended)
    assert run("images", 0, 10).faults == [{"ended": 0, "exit code": -11}]
